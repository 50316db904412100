//go:build !race

// One goroutine replays traces: the race detector would find nothing, in ten times the time.

package store

import (
	"bufio"
	"compress/gzip"
	"container/list"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exactLRU is the textbook's: a list, bounded by bytes.
type exactLRU struct {
	bytes, max int
	order      *list.List
	at         map[int]*list.Element
}

type lruEntry struct{ key, bytes int }

func (l *exactLRU) hit(key, bytes int) bool {
	if e, ok := l.at[key]; ok {
		l.order.MoveToFront(e)
		return true
	}
	l.at[key] = l.order.PushFront(lruEntry{key, bytes})
	for l.bytes += bytes; l.bytes > l.max; {
		e := l.order.Back()
		l.bytes -= e.Value.(lruEntry).bytes
		delete(l.at, e.Value.(lruEntry).key)
		l.order.Remove(e)
	}
	return false
}

// zipf draws n keys by Zipf's law with s = 0.99.
func zipf(n, keys int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 2))
	cdf := make([]float64, keys)
	sum := 0.0
	for i := range cdf {
		sum += 1 / math.Pow(float64(i+1), 0.99)
		cdf[i] = sum
	}
	out := make([]int, n)
	for i := range out {
		x := rng.Float64() * sum
		lo, hi := 0, keys-1
		for lo < hi {
			if mid := (lo + hi) / 2; cdf[mid] < x {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		out[i] = lo
	}
	return out
}

// drift moves the keys of a trace along: after every tenth of it a fifth of them are new.
func drift(trace []int, keys int) []int {
	out := make([]int, len(trace))
	for i, k := range trace {
		out[i] = k + i/(len(trace)/10)*keys/5*(k%2)
	}
	return out
}

// recorded reads a trace of one key number a line; nil where the data is not there.
func recorded(t testing.TB, name string) []int {
	f, err := os.Open("../../../shared/data/" + name)
	if err != nil {
		return nil
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var out []int
	for sc := bufio.NewScanner(z); sc.Scan(); {
		k, err := strconv.Atoi(sc.Text())
		require.NoError(t, err)
		out = append(out, k)
	}
	return out
}

// sizes of values: mean, and half of it up and down, always the same for a key.
func valueBytes(key, mean int) int {
	rng := rand.New(rand.NewPCG(uint64(key), 3))
	return mean/2 + rng.IntN(mean+1)
}

// ratios plays a trace to a store and to the exact LRU of the same bytes.
func ratios(t testing.TB, trace []int, mean int, share float64, p Policy) (got, exact float64) {
	size := map[int]int{}
	total := 0
	for _, k := range trace {
		if size[k] == 0 {
			size[k] = valueBytes(k, mean)
			total += recordBytes(7, 0, size[k]) + 11
		}
	}
	limit := int(float64(total) * share)
	s := newStore(t, Config{MaxBytes: int64(limit), MaxItemBytes: int64(min(1<<20, limit/16)), Policy: p})
	ideal := &exactLRU{max: limit, order: list.New(), at: map[int]*list.Element{}}
	value := make([]byte, 2*mean)
	hits, idealHits := 0, 0
	var key []byte
	for _, k := range trace {
		key = strconv.AppendInt(append(key[:0], 'k'), 100000+int64(k), 10)
		tx := s.Begin(key, 2)
		if tx.Found() {
			hits++
			tx.Bump()
		} else {
			require.True(t, tx.Put(Meta{}, value[:size[k]]))
		}
		tx.End()
		if ideal.hit(k, recordBytes(7, 0, size[k])+11) {
			idealHits++
		}
	}
	checkStore(t, s)
	n := float64(len(trace)) / 100
	return float64(hits) / n, float64(idealHits) / n
}

// TestHitRatio: LRU is within 1.5 points of an exact one, and S3FIFO is not worse, but where keys
// drift all the time.
func TestHitRatio(t *testing.T) {
	const keys = 50_000
	plain := zipf(400_000, keys, 1)
	for _, c := range []struct {
		name   string
		trace  []int
		mean   int
		shares []float64
		// drifts: new keys push old ones out for good, which an LRU is best at.
		drifts bool
	}{
		{"zipf of 100 B", plain, 100, []float64{0.03, 0.1, 0.3}, false},
		{"zipf of 20 KB", plain[:len(plain)/4], 20_000, []float64{0.1}, false},
		{"zipf with drift", drift(plain, keys), 100, []float64{0.1}, true},
		{"web12 of 20 KB", recorded(t, "web12.keys.gz"), 20_000, []float64{0.1, 0.3}, false},
		{"web12 of 200 B", recorded(t, "web12.keys.gz"), 200, []float64{0.1, 0.3}, false},
	} {
		if c.trace == nil {
			t.Logf("%s: the trace is not there", c.name)
			continue
		}
		trace := c.trace[:min(len(c.trace), scaled(len(c.trace)))]
		for _, share := range c.shares {
			lru, exact := ratios(t, trace, c.mean, share, LRU)
			s3, _ := ratios(t, trace, c.mean, share, S3FIFO)
			lfu, _ := ratios(t, trace, c.mean, share, LFU)
			t.Logf("%-16s %2.0f %%: exact lru %.2f, lru %.2f, s3fifo %.2f, lfu %.2f", c.name, share*100, exact, lru, s3, lfu)
			assert.InDelta(t, exact, lru, 1.5, "%s %v", c.name, share)
			if !c.drifts {
				assert.Greater(t, s3, exact-0.5, "%s %v", c.name, share)
			}
		}
	}
}
