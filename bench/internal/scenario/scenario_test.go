package scenario

import (
	"bytes"
	"context"
	"flag"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) {
	part.Main(Parts())
	// A default only: the command line, parsed later, goes before it.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// TestEveryScenario plays each for an instant: it can be played, measures what it shows,
// and nothing wrong or stale comes back. Figures of time are not looked at.
func TestEveryScenario(t *testing.T) {
	stock.Need(t)
	// At a smaller scale, for the race detector, those whose goroutines are like another's are left out.
	alike := []string{"hang", "slow", "late", "cut", "stray", "flap", "zombie-behind", "empty", "rolling-off", "replace-off", "replace-single", "steady", "slow-origin"}
	// In these, nodes die or leave, which shows at once. One that is well and late, because the machine is busy, must not pass for
	// down: it would for one process and not for another, which goes on reading there what it misses.
	dying := []string{"empty", "rolling", "rolling-off", "replace", "replace-off", "replace-single"}
	// Several processes that must learn of the same things at about the same time have the machine to themselves.
	apart := []string{"rejoin", "rolling", "rolling-off", "replace", "replace-off", "replace-single", "rapid"}
	scale, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64)
	few := err == nil && scale < 1
	seen := map[string]bool{}
	for _, s := range slices.Concat(Faults(), Loads()) {
		require.False(t, seen[s.Name], "two of one name")
		seen[s.Name] = true
		if few && slices.Contains(alike, s.Name) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			if !slices.Contains(apart, s.Name) {
				t.Parallel() // they last as long whatever they have of the processors
			}
			setup := Quick
			if slices.Contains(dying, s.Name) {
				setup.Timeout = 5 * time.Second
			}
			turns := 0
			res, err := Play(t.Context(), s, setup, func(string) { turns++ })
			require.NoError(t, err)
			assert.Equal(t, s.Turns(setup), turns)
			safe := 0
			for _, row := range res.Rows {
				assert.NotNil(t, row.Ours, row.Name)
				if row.Safety {
					safe++
					assert.True(t, row.Verdict.Holds(), "%s: %v: %v", row.Name, row.Ours, res.Notes)
				}
			}
			assert.Positive(t, safe)
			var out bytes.Buffer
			res.Print(&out)
			assert.Contains(t, out.String(), s.Title)
		})
	}
}

func TestBrokenOff(t *testing.T) {
	stock.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"crash", "rejoin", "zombie", "rolling", "replace"} {
		s, err := Find(Faults(), []string{name})
		require.NoError(t, err)
		_, err = Play(ctx, s[0], Quick, nil)
		require.ErrorIs(t, err, context.Canceled, name)
	}
}

func TestFind(t *testing.T) {
	got, err := Find(Faults(), []string{"hang", "crash"})
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, "hang", got[0].Name)
	got, err = Find(Faults(), []string{"crash", "all"})
	require.NoError(t, err)
	assert.Len(t, got, len(Faults()))
	_, err = Find(Faults(), []string{"fire"})
	assert.ErrorContains(t, err, `no scenario "fire": give all or some of crash, hang,`)
}

func TestJudging(t *testing.T) {
	r := func(least, most float64) *Range { return &Range{least, most} }
	for _, c := range []struct {
		b    Bound
		v    *Range
		want versus.Verdict
	}{
		{most(2), r(1, 2), versus.Reached},
		{most(2), r(1, 2.01), versus.Below}, // the worst run counts
		{least(90), r(90, 200), versus.Reached},
		{least(90), r(89, 200), versus.Below},
		{most(0), nil, versus.Unmeasured},
		{Bound{}, r(1, 2), versus.None},
		{Bound{}, nil, versus.None},
	} {
		assert.Equal(t, c.want, Figure{Bound: c.b}.judge(c.v), "%v against %v", c.v, c.b)
	}
	res := Result{Name: "x", Title: "y", Notes: []string{"memherd: get: gone"}, Rows: []Row{
		{Figure: Figure{Name: fErrors, Format: "%.3f", Bound: most(0.1)}, Ours: r(0, 0.25), Base: r(30, 31), Verdict: versus.Below},
		{Figure: Figure{Name: fRate, Format: "%.0f"}, Ours: r(12_345, 67_890)},
		{Figure: safety[0], Ours: r(0, 0), Verdict: versus.Reached},
	}}
	assert.False(t, res.Unsafe(), "errors are no lie")
	bounds, held := res.Tally()
	assert.Equal(t, [2]int{2, 1}, [2]int{bounds, held})
	var out bytes.Buffer
	res.Print(&out)
	assert.Contains(t, out.String(), "0.000   0.250  ≤ 0.1  below          30.000  31.000\n")
	assert.Contains(t, out.String(), "12,345  67,890                             -       -\n")
	assert.Contains(t, out.String(), "memherd: get: gone\n")
	for _, v := range []versus.Verdict{versus.Below, versus.Unmeasured} {
		res.Rows[2].Verdict = v
		assert.True(t, res.Unsafe())
	}
}
