package versus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper is a client whose every operation takes as long as it is told.
func sleeper(name string, d time.Duration, log *[]string) Contender {
	return Local{Open: func(int) (Op, func() error, error) {
		*log = append(*log, name)
		return func(context.Context, int) error { time.Sleep(d); return nil }, func() error { return nil }, nil
	}}.Contender(name)
}

func TestRatiosAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log, watched []string
		scores, err := Run(t.Context(), Config{
			Base:   sleeper("a", 2*time.Millisecond, &log),
			Others: []Contender{sleeper("b", time.Millisecond, &log), sleeper("a2", 2*time.Millisecond, &log)},
			Slot:   Slot{Goroutines: 4, Length: time.Second, Picks: 10}, Rounds: 3,
			Watch: func(name string, round int) { watched = append(watched, name) },
		})
		require.NoError(t, err)
		require.Len(t, scores, 3)
		assert.Equal(t, "a b a2 b a2 a a2 a b", strings.Join(log, " "), "the order rotates")
		assert.Equal(t, log, watched)
		assert.Equal(t, Spread{1, 1, 1}, scores[0].Ratio)
		assert.InDelta(t, 2.0, scores[1].Ratio.Mid, 0.01)
		assert.InDelta(t, 2.0, scores[1].P50Ratio.Mid, 0.01)
		assert.InDelta(t, 1.0, scores[2].Ratio.Mid, 0.01)
		assert.InDelta(t, 4000, scores[1].OpsPerS, 10)
		assert.Equal(t, 4, scores[1].Goroutines)
		assert.InDelta(t, 1000, scores[1].P50, 5)
		assert.InDelta(t, 1000, scores[1].P99, 5)
	})
}

func TestContexts(t *testing.T) {
	var last context.Context
	l := Local{Open: func(int) (Op, func() error, error) {
		return func(ctx context.Context, _ int) error { last = ctx; return ctx.Err() }, func() error { return nil }, nil
	}}
	slot := Slot{Goroutines: 1, Length: time.Millisecond, Picks: 1}
	_, err := l.Turn(t.Context(), slot)
	require.NoError(t, err)
	assert.Nil(t, last.Done(), "a context that cannot end")
	l.Deadline = time.Hour
	_, err = l.Turn(t.Context(), slot)
	require.NoError(t, err)
	_, ok := last.Deadline()
	assert.True(t, ok)
	assert.ErrorIs(t, last.Err(), context.Canceled, "each operation's context is given back")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.Turn(ctx, slot)
	assert.ErrorIs(t, err, context.Canceled, "a comparison can be ended")
}

func TestServerCPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		l := Local{
			Open: func(int) (Op, func() error, error) {
				return func(context.Context, int) error { time.Sleep(time.Millisecond); return nil }, func() error { return nil }, nil
			},
			ServerCPU: func() (time.Duration, error) { reads++; return time.Duration(reads) * time.Millisecond, nil },
		}
		turn, err := l.Turn(t.Context(), Slot{Goroutines: 1, Length: 100 * time.Millisecond, Picks: 1})
		require.NoError(t, err)
		assert.InDelta(t, 10, turn.ServerCPU, 0.2, "1 ms for 100 operations")
		l.ServerCPU = func() (time.Duration, error) { return 0, errors.New("no such process") }
		_, err = l.Turn(t.Context(), Slot{Goroutines: 1, Length: time.Millisecond, Picks: 1})
		assert.ErrorContains(t, err, "no such process")
	})
}

func TestAnErrorEndsTheComparison(t *testing.T) {
	closed := 0
	slot := Slot{Goroutines: 2, Length: time.Minute, Picks: 1}
	bad := Local{Open: func(int) (Op, func() error, error) {
		return func(context.Context, int) error { return errors.New("boom") }, func() error { closed++; return nil }, nil
	}}
	_, err := Run(t.Context(), Config{Base: bad.Contender("bad"), Slot: slot, Rounds: 1})
	assert.ErrorContains(t, err, "bad with 2 goroutines: boom")
	assert.Equal(t, 1, closed)
	unopened := Local{Open: func(int) (Op, func() error, error) { return nil, nil, errors.New("no") }}
	_, err = Run(t.Context(), Config{Base: unopened.Contender("shut"), Slot: slot, Rounds: 1})
	assert.ErrorContains(t, err, "no")
	_, err = Run(t.Context(), Config{})
	assert.Error(t, err)
}

func TestScoreDividesWithinRounds(t *testing.T) {
	base := []Turn{{OpsPerS: 100, P50: 10, ClientCPU: 8}, {OpsPerS: 50, P50: 20, ClientCPU: 8}, {OpsPerS: 10, P50: 90}}
	ours := []Turn{{OpsPerS: 200, P50: 5, ClientCPU: 4}, {OpsPerS: 200, P50: 10, ClientCPU: 2}, {OpsPerS: 30, P50: 0, ClientCPU: 2}}
	s := score("x", 8, ours, base)
	assert.Equal(t, Spread{3, 2, 4}, s.Ratio)
	assert.Equal(t, Spread{2, 2, 2}, s.P50Ratio, "a round without a latency gives no ratio")
	assert.Equal(t, Spread{3, 2, 4}, s.CPURatio)
	assert.Equal(t, 200.0, s.OpsPerS)
	assert.Equal(t, Spread{}, spread(nil, nil, nil))
}

func TestVerdicts(t *testing.T) {
	noise := Spread{1, 0.9, 1.1}
	floor := func(f, a float64) Bound { return Bound{f, a} }
	for _, c := range []struct {
		b     Bound
		ratio float64
		want  Verdict
		holds bool
	}{
		{floor(1, 1.1), 0.95, Even, true},
		{floor(1, 1.1), 1.05, Even, true},
		{floor(1, 1.1), 1.1, Even, true}, // on the edge is inside
		{floor(1, 1.1), 1.11, Aimed, true},
		{floor(1, 1.1), 0.89, Below, false},
		{floor(1.05, 2), 1.08, Below, false}, // a ratio inside the noise is no 1.08
		{floor(5, 8), 4.99, Below, false},
		{floor(5, 8), 5, Reached, true},
		{floor(5, 8), 8, Aimed, true},
		{floor(5, 0), 80, Reached, true},
		{floor(0.9, 0), 0.91, Even, true},
		{floor(5, 8), 0, Unmeasured, false},
		{Bound{}, 1.05, Even, true},
		{Bound{}, 3, None, false},
		{Bound{}, 0, None, false},
	} {
		got := c.b.Judge(Spread{Mid: c.ratio}, noise)
		assert.Equal(t, c.want, got, "%v against %v", c.ratio, c.b)
		assert.Equal(t, c.holds, got.Holds())
	}
	assert.Equal(t, None, Bound{}.Judge(Spread{}, Spread{}), "nothing was measured")

	noise = Spread{1, 0.5, 2}
	assert.Equal(t, Noisy, floor(1, 0).Judge(Spread{Mid: 1.2}, noise))
	assert.Equal(t, Noisy, floor(1.9, 0).Judge(Spread{Mid: 2}, noise))
	assert.Equal(t, Noisy, Bound{}.Judge(Spread{Mid: 1}, noise))
	assert.Equal(t, Reached, floor(1.9, 0).Judge(Spread{Mid: 2.1}, noise), "outside of it a ratio counts")
	assert.Equal(t, Below, floor(1, 0).Judge(Spread{Mid: 0.4}, noise))
	assert.False(t, Noisy.Holds())
}

func TestMedianAndQuantile(t *testing.T) {
	assert.Equal(t, 2.0, median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	assert.Zero(t, quantile(nil, 0.5))
	var d []time.Duration
	for i := range 101 {
		d = append(d, time.Duration(i)*time.Microsecond)
	}
	assert.Equal(t, 50.0, quantile(d, 0.5))
	assert.Equal(t, 99.0, quantile(d, 0.99))
}
