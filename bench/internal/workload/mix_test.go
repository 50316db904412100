package workload

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func bytesUnit(s string) (float64, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return float64(n), err
}

func TestMix(t *testing.T) {
	for text, c := range map[string]struct{ lo, mid, hi, mean float64 }{
		"100":                  {100, 100, 100, 100},
		"100-300":              {100, 200, 300, 200},
		"10:3,1000:1":          {10, 10, 1000, 257.5},
		"10 : 0.5, 20-40:0.5":  {10, 20, 40, 20},
		"exp:300":              {1, 300 * math.Ln2, 1e6, 300},
		"1:1e-9,1000000:99999": {1, 1e6, 1e6, 1e6},
	} {
		m, err := ParseMix(text, bytesUnit, 1, 1e6)
		require.NoError(t, err, text)
		assert.InDelta(t, c.mid, m.At(.5), 1e-6, text)
		assert.GreaterOrEqual(t, m.At(0), c.lo, text)
		assert.LessOrEqual(t, m.At(1), c.hi, text)
		sum := 0.0
		for i := range 20_000 {
			sum += m.Of(7, i)
		}
		assert.InEpsilon(t, c.mean, sum/20_000, .05, text)
		assert.Equal(t, m.Of(7, 5), m.Of(7, 5))
		assert.NotEmpty(t, m.String())
	}
	for _, text := range []string{"", "x", "0", "1000001", "5-", "-5", "9-3", "5:0", "5:-1", "5:x", "5:1x", "5:NaN", "5:Inf", "5,", "exp:", "exp:x", "exp:0", "1:2:3"} {
		_, err := ParseMix(text, bytesUnit, 1, 1e6)
		assert.Error(t, err, text)
	}
}

func TestStepsOfAMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := ParseMix(rapid.StringMatching(`[1-9][0-9]{0,4}(-9[0-9]{5})?(:[1-9])?(,[1-9][0-9]{0,4}(:[1-9])?){0,3}|exp:[1-9][0-9]{0,4}`).Draw(t, "text"), bytesUnit, 1, 1e6)
		require.NoError(t, err)
		n, seen := rapid.IntRange(1, 20).Draw(t, "n"), map[float64]bool{}
		for i := range 200 {
			v := m.StepOf(3, i, n)
			require.True(t, v >= 1 && v <= 1e6)
			seen[v] = true
		}
		require.LessOrEqual(t, len(seen), n)
		require.True(t, !m.Single() || len(seen) == 1)
	})
}

func FuzzParseMix(f *testing.F) {
	for _, s := range []string{"100", "1-2:3,4", "exp:7", "1:1e308,2:1e308", ":", "-", "1:0x1p-2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMix(text, bytesUnit, 1, 1e6)
		if err != nil {
			return
		}
		for _, u := range []float64{0, .3, 1} {
			if v := m.At(u); !(v >= 1 && v <= 1e6) {
				t.Fatalf("%q at %v is %v", text, u, v)
			}
		}
	})
}
