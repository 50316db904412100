package workload

import (
	"math"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func scaled(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil && f > 0 {
		return max(1000, int(float64(n)*f))
	}
	return n
}

// TestZipfIsExact compares drawn counts with the exact distribution by chi-square
// over cells of at least 50 expected draws. The seed is fixed: the bound (mean plus
// five standard deviations of the statistic) is passed or not, for ever.
func TestZipfIsExact(t *testing.T) {
	for _, c := range []struct {
		n int
		s float64
	}{{1, 0.99}, {2, 0}, {10, 0.5}, {1000, 0.99}, {1000, 1.2}, {100_000, 0.99}, {5000, 2.7}} {
		z, err := NewZipf(c.n, c.s)
		require.NoError(t, err)
		draws := scaled(400_000)
		seen := make([]int, c.n)
		r := Rand(7, 0)
		for range draws {
			seen[z.Next(r)]++
		}
		var chi, cells, obs, exp float64
		for i := range c.n {
			obs += float64(seen[i])
			exp += z.P(i) * float64(draws)
			if exp >= 50 || i == c.n-1 {
				chi += (obs - exp) * (obs - exp) / exp
				cells++
				obs, exp = 0, 0
			}
		}
		assert.LessOrEqual(t, chi, cells+5*math.Sqrt(2*cells)+1, "n=%d s=%v cells=%v", c.n, c.s, cells)
	}
}

func TestZipfTableHoldsTheDistribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 500).Draw(t, "n")
		z, err := NewZipf(n, rapid.Float64Range(0, 3).Draw(t, "s"))
		require.NoError(t, err)
		// Adding up what each column gives to whom must return the exact P.
		got := make([]float64, n)
		for i := range n {
			got[i] += z.prob[i] / float64(n)
			got[z.alias[i]] += (1 - z.prob[i]) / float64(n)
		}
		for i := range n {
			require.InDelta(t, z.P(i), got[i], 1e-9)
		}
	})
}

func TestSameSeedSameKeys(t *testing.T) {
	z, err := NewZipf(1000, 0.99)
	require.NoError(t, err)
	draw := func(seed uint64, worker int) (out []int) {
		r := Rand(seed, worker)
		for range 50 {
			out = append(out, z.Next(r))
		}
		return out
	}
	assert.Equal(t, draw(1, 2), draw(1, 2))
	assert.NotEqual(t, draw(1, 2), draw(1, 3))
	assert.NotEqual(t, draw(1, 2), draw(2, 2))
}

func TestUniform(t *testing.T) {
	u, err := NewUniform(10)
	require.NoError(t, err)
	r := Rand(3, 0)
	seen := make([]float64, 10)
	draws := scaled(100_000)
	for range draws {
		seen[u.Next(r)]++
	}
	exp, chi := float64(draws)/10, 0.0
	for _, o := range seen {
		chi += (o - exp) * (o - exp) / exp
	}
	assert.Less(t, chi, 30.0)
}

func TestMovingMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := NewMoving(1_000_000, 10, 0.9, time.Second, 5)
		require.NoError(t, err)
		r := Rand(1, 0)
		for period := range uint64(3) {
			first, in := m.Window(period), 0
			for range 1000 {
				if k := m.Next(r); (k-first+1_000_000)%1_000_000 < 10 {
					in++
				}
			}
			assert.InDelta(t, 900, in, 60, "period %d", period)
			time.Sleep(time.Second)
		}
		assert.NotEqual(t, m.Window(0), m.Window(1))
	})
}

func TestStorm(t *testing.T) {
	u, err := NewUniform(1_000_000)
	require.NoError(t, err)
	s, r := NewStorm(u, 42), Rand(1, 0)
	count := func() (n int) {
		for range 10_000 {
			if s.Next(r) == 42 {
				n++
			}
		}
		return n
	}
	assert.Less(t, count(), 5)
	s.Set(0.2)
	assert.InDelta(t, 2000, count(), 250)
	s.Set(0)
	assert.Less(t, count(), 5)
}

func TestBadInput(t *testing.T) {
	for name, f := range map[string]func() error{
		"uniform 0":     func() error { _, err := NewUniform(0); return err },
		"zipf 0":        func() error { _, err := NewZipf(0, 1); return err },
		"zipf s < 0":    func() error { _, err := NewZipf(5, -1); return err },
		"zipf NaN":      func() error { _, err := NewZipf(5, math.NaN()); return err },
		"moving 0":      func() error { _, err := NewMoving(0, 1, 1, 1, 1); return err },
		"window":        func() error { _, err := NewMoving(5, 6, 1, 1, 1); return err },
		"share":         func() error { _, err := NewMoving(5, 2, 1.1, 1, 1); return err },
		"moving period": func() error { _, err := NewMoving(5, 2, 1, 0, 1); return err },
	} {
		assert.Error(t, f(), name)
	}
}

func BenchmarkZipf(b *testing.B) {
	z, err := NewZipf(1_000_000, 0.99)
	require.NoError(b, err)
	r := Rand(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		z.Next(r)
	}
}
