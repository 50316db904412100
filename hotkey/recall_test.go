package hotkey

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// scale is MEMHERD_SCALE, by which randomised counts shrink or grow.
func scale(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil && f > 0 {
		return max(1, int(float64(n)*f))
	}
	return n
}

// zipf draws ranks 0 … n−1 with probability ∝ 1/(rank+1)^s for any s > 0, which math/rand's Zipf cannot (s > 1).
type zipf struct {
	cum []float64
	rng *rand.Rand
}

func newZipf(n int, s float64, seed uint64) *zipf {
	z := &zipf{cum: make([]float64, n), rng: rand.New(rand.NewPCG(seed, 1))}
	sum := 0.0
	for i := range z.cum {
		sum += math.Pow(float64(i+1), -s)
		z.cum[i] = sum
	}
	return z
}

func (z *zipf) next() int {
	u := z.rng.Float64() * z.cum[len(z.cum)-1]
	return min(sort.SearchFloat64s(z.cum, u), len(z.cum)-1)
}

func keyNames(n int) ([]string, []uint64) {
	keys, hashes := make([]string, n), make([]uint64, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d", i)
		hashes[i] = xxhash.Sum64String(keys[i])
	}
	return keys, hashes
}

func newDetector(t testing.TB, cfg Config, nodes int) *Detector {
	d, err := NewDetector(&cfg, nodes)
	require.NoError(t, err)
	return d
}

// The 461 keys with the most accesses among a million of Zipf 0.99 over a million keys, found with 16 KiB of counters
// and 64 KiB of sketch.
func TestRecallOfTheTop461(t *testing.T) {
	top, universe, requests := max(46, min(461, scale(461))), scale(1_000_000), scale(1_000_000)
	keys, hashes := keyNames(universe)
	for seed := range uint64(scale(3)) {
		seed++
		d := newDetector(t, Config{HeavyBytes: 16 << 10, SketchBytes: 64 << 10, Budget: -1, Seed: seed}, 10)
		z := newZipf(universe, 0.99, seed)
		exact := make([]int, universe)
		for range requests {
			k := z.next()
			exact[k]++
			d.Observe(hashes[k], keys[k], 100)
		}
		// A key that ties with the 461st is as right an answer as the 461st.
		sorted := slices.Clone(exact)
		slices.Sort(sorted)
		least := sorted[universe-top]
		truth := map[string]int{}
		for k, n := range exact {
			if n >= least {
				truth[keys[k]] = n
			}
		}
		found := 0
		for _, h := range d.Top(top) {
			if truth[h.Key] > 0 {
				found++
			}
		}
		recall := float64(found) / float64(top)
		t.Logf("seed %d: recall %.4f, stats %+v", seed, recall, d.Stats())
		require.GreaterOrEqual(t, recall, 0.97)
	}
}
