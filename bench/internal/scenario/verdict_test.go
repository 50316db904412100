package scenario

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/versus"
)

// TestGroups: every scenario has a name of its own and a title, and promises something, but for one.
func TestGroups(t *testing.T) {
	seen := map[string]bool{"all": true} // which means something else
	for _, g := range Groups() {
		require.NotEmpty(t, g.Scenarios, g.Name)
		for _, s := range g.Scenarios {
			require.False(t, seen[s.Name], "%s twice", s.Name)
			seen[s.Name] = true
			require.NotEmpty(t, s.Title, s.Name)
			if s.Name != "scatter" { // how much it gains depends on what is left of the machine's processors
				require.NotEmpty(t, s.Promises(), s.Name)
			}
		}
	}
	require.Len(t, All(), len(seen)-1)
	found, err := Find(All(), []string{"crash", "stampede"})
	require.NoError(t, err)
	require.Len(t, found, 2)
}

// TestPassed: a missed bound fails, a missed bound of safety always; what was not measured is missed.
func TestPassed(t *testing.T) {
	speed := Figure{Name: "speed", Format: "%.1f", Bound: least(5)}
	wrong := Figure{Name: "wrong", Format: "%.0f", Bound: exactly(0), Safety: true}
	free := Figure{Name: "free", Format: "%.0f"}
	result := func(values map[string]float64) *Result {
		r := &Result{}
		for _, f := range []Figure{speed, wrong, free} {
			row := Row{Figure: f}
			if v, ok := values[f.Name]; ok {
				row.Ours = &Range{v, v}
			}
			row.Verdict = f.judge(row.Ours)
			r.Rows = append(r.Rows, row)
		}
		return r
	}
	for _, c := range []struct {
		values       map[string]float64
		full, safety bool
		summary      string
	}{
		{map[string]float64{"speed": 6, "wrong": 0, "free": 9}, true, true, "2 floors held"},
		{map[string]float64{"speed": 4, "wrong": 0, "free": 9}, false, true, "speed 4.0 to 4.0 (≥ 5)"},
		{map[string]float64{"speed": 6, "wrong": 1}, false, false, "wrong 1 to 1 (= 0)"},
		{map[string]float64{"speed": 6}, false, false, "wrong not measured (= 0)"},
	} {
		r := result(c.values)
		require.Equal(t, c.full, r.Passed(false))
		require.Equal(t, c.safety, r.Passed(true))
		require.Equal(t, c.summary, r.Summary())
	}
}

// TestAims: what is hoped for beyond a bound is said to be reached by the worst run alone, and missing it fails nothing.
func TestAims(t *testing.T) {
	f := Figure{Name: "load", Format: "%.2f", Bound: most(1.08), Aim: most(1.05)}
	for _, c := range []struct {
		got  Range
		want versus.Verdict
	}{
		{Range{1.01, 1.05}, versus.Aimed}, {Range{1.01, 1.06}, versus.Reached}, {Range{1.01, 1.09}, versus.Below},
		{Range{1.01, math.NaN()}, versus.Below},
	} {
		require.Equal(t, c.want, f.judge(&c.got), "%v", c.got)
		require.Equal(t, c.want != versus.Below, f.judge(&c.got).Holds())
	}
	require.Equal(t, versus.Unmeasured, f.judge(nil))
}
