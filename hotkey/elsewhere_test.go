package hotkey

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func asking(t *testing.T, oneIn int) *Detector {
	t.Helper()
	d, err := NewDetector(&Config{Budget: -1, Seed: 1, AskNodes: oneIn}, 3)
	require.NoError(t, err)
	return d
}

// A node is asked about keys this client has read before, but not a moment ago.
func TestElsewhereAsksWhereAnAnswerTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, off := asking(t, 1), asking(t, 0)
		h := xxhash.Sum64String("k")
		for i, step := range []struct {
			after time.Duration
			asks  bool
		}{
			{0, false}, {0, false}, {time.Second, false}, {2900 * time.Millisecond, false}, {3100 * time.Millisecond, true}, {0, false},
			{5 * time.Minute, true}, {11 * time.Minute, false}, {time.Minute, true}, {400 * 24 * time.Hour, false},
		} {
			time.Sleep(step.after)
			require.Equal(t, step.asks, d.AsksElsewhere(h), "step %d", i)
			require.False(t, off.AsksElsewhere(h))
			require.False(t, d.AsksElsewhere(xxhash.Sum64String(fmt.Sprint("new", i))), "never read before")
		}
		one, eighth := 0, asking(t, 8)
		for range 2000 {
			time.Sleep(4 * time.Second)
			if eighth.AsksElsewhere(h) {
				one++
			}
		}
		require.InDelta(t, 250, one, 75)
		for range 3000 {
			d.Observe(h, "k", 1)
		}
		require.Equal(t, LevelHottest, d.Level(h, "k"))
		time.Sleep(5 * time.Second)
		require.False(t, d.AsksElsewhere(h), "there is nothing left to learn")
	})
}

// Three answers in a row make a key hot on as few accesses, one that says no begins anew; a key nobody else reads never is; who is
// heard of no more sinks.
func TestElsewhereMakesHot(t *testing.T) {
	var promoted, demoted []string
	d, err := NewDetector(&Config{Budget: -1, Seed: 1, AskNodes: 1,
		OnPromote: func(k string, l Level) { promoted = append(promoted, k+" "+l.String()) },
		OnDemote:  func(k string, l Level) { demoted = append(demoted, k+" "+l.String()) }}, 3)
	require.NoError(t, err)
	others := 0
	pass := func(n int) {
		for range n {
			others++
			k := fmt.Sprint("other", others)
			d.Observe(xxhash.Sum64String(k), k, 1)
		}
	}
	h := xxhash.Sum64String("k")
	d.Elsewhere(h, "k", true) // of a key it does not know
	for range 4 {
		d.Observe(h, "k", 1)
		pass(100)
	}
	for range 6 {
		d.Observe(xxhash.Sum64String("own"), "own", 1)
		pass(50)
	}
	for _, read := range []bool{true, true, false, true, true} {
		d.Elsewhere(h, "k", read)
		require.Equal(t, LevelCold, d.Level(h, "k"))
	}
	d.Elsewhere(h, "k", true)
	require.Equal(t, LevelHot, d.Level(h, "k"))
	d.Elsewhere(h, "k", true)
	require.Equal(t, []string{"k hot"}, promoted, "once")
	require.EqualValues(t, 1, d.Stats().Hot)

	pass(2000) // a review or two
	d.Observe(h, "k", 1)
	require.Equal(t, LevelHot, d.Level(h, "k"))
	require.Empty(t, demoted)
	d.Elsewhere(h, "k", false)
	pass(6000)
	require.Equal(t, []string{"k cold"}, demoted)
	require.Equal(t, []string{"k hot"}, promoted, "no other key")
}

func TestElsewhereBadInput(t *testing.T) {
	for _, n := range []int{-1, 1<<16 + 1} {
		_, err := NewDetector(&Config{AskNodes: n}, 1)
		require.ErrorContains(t, err, "Config.AskNodes")
	}
}
