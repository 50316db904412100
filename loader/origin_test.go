package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

func TestOriginRefuses(t *testing.T) {
	for want, o := range map[string]loader.Origin{
		"Origin.QueueWait is negative": {QueueWait: -1},
		"Origin.MinLoads is -1":        {MinLoads: -1},
		"Origin.MinLoads is 65":        {MinLoads: 65},
		"Origin.SlowAfter is negative": {SlowAfter: -1},
		"Origin.Rate is -1":            {Rate: -1},
		"Origin.Rate is NaN":           {Rate: math.NaN()},
		"Origin.Rate is +Inf":          {Rate: math.Inf(1)},
		"Origin.Burst is negative":     {Rate: 1, Burst: -1},
		"Origin.Burst is 5 without":    {Burst: 5},
		"Origin.RetryBudget is 1.5":    {RetryBudget: 1.5},
		"Origin.RetryBudget is NaN":    {RetryBudget: math.NaN()},
	} {
		_, err := loader.New(fakecache.New(1), loader.Config[string]{Load: newOrigin().load, Origin: o})
		require.ErrorContains(t, err, "memherd: loader.Config."+want)
	}
}

// With all slots taken a load waits for QueueWait and no longer; then it is shed, or a value past its
// TTL stands in.
func TestQueueWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "1", "slow", "1", "other", "1")
		var sheds []string
		l := open(t, fakecache.New(2), o, ifError, func(c *loader.Config[string]) {
			c.MaxLoads, c.Origin.QueueWait = 1, 100*time.Millisecond
			c.Hooks.Shed = func(keys int, waited time.Duration) { sheds = append(sheds, fmt.Sprint(keys, " ", waited)) }
		})
		got(t, l, "1")
		time.Sleep(10 * time.Second)
		o.slow = time.Second
		go func() { _, _ = l.Get(t.Context(), "slow") }()
		synctest.Wait()
		began := time.Now()
		_, err := l.Get(t.Context(), "other")
		require.ErrorIs(t, err, loader.ErrOriginBusy)
		require.NotErrorIs(t, err, loader.ErrLoadTimeout)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "1", v, "stale, and better than nothing")
		require.Equal(t, []string{"1 100ms", "1 100ms"}, sheds)
		n := l.Counters()
		require.EqualValues(t, 2, n.Shed)
		require.EqualValues(t, 1, n.StaleOnError)
		require.EqualValues(t, 1, n.LoadLimit)
		time.Sleep(time.Second)
		_, err = l.Get(t.Context(), "other")
		require.NoError(t, err, "the slot is free again")
	})
}

// No more loads begin in a second than Rate, after a first Burst; what would wait longer than it
// may is shed at once.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{}
		l := r.open(t, fakecache.New(1), false, func(c *loader.Config[string]) {
			c.Origin = loader.Origin{Rate: 10, Burst: 5, QueueWait: 2 * time.Second}
		})
		began := time.Now()
		errs := make(chan error, 50)
		for i := range 50 {
			go func() { _, err := l.Get(t.Context(), fmt.Sprint("k", i)); errs <- err }()
		}
		shed := 0
		for range 50 {
			if err := <-errs; err != nil {
				require.ErrorIs(t, err, loader.ErrOriginBusy)
				shed++
			}
		}
		require.Equal(t, 25, shed, "5 at once, and 10 a second for two seconds")
		require.Equal(t, 2*time.Second, time.Since(began))
		require.EqualValues(t, 25, l.Counters().Loads)
	})
}

// An origin that hangs with everything gets a tenth more, and ten.
func TestRetryBudget(t *testing.T) {
	for budget, want := range map[float64]uint64{0: 20, 0.5: 59, 1: 100} {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, fakecache.New(1), newOrigin(), func(c *loader.Config[string]) {
				c.Load = func(ctx context.Context, _ string) (string, error) { return "", hang(ctx) }
				c.LoadTimeout, c.MaxLoads = 2*time.Second, 1000
				c.Origin.SecondAfter, c.Origin.RetryBudget = time.Second, budget
			})
			for i := range 100 {
				_, err := l.Get(t.Context(), fmt.Sprint("k", i))
				require.ErrorIs(t, err, loader.ErrLoadTimeout)
			}
			require.NoError(t, l.Close())
			require.InDelta(t, want, l.Counters().Seconds, 1, "budget %v", budget)
			require.Equal(t, 100+l.Counters().Seconds, l.Counters().Loads)
		})
	}
}

// Loads that had to wait for a slot, behind an origin that hung, begin no faster than Rate allows either.
func TestRateBehindSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		well := make(chan struct{})
		var begun atomic.Int64
		o.hook = func(string) error { begun.Add(1); <-well; return nil }
		l := open(t, fakecache.New(1), o, func(c *loader.Config[string]) {
			c.MaxLoads, c.LoadTimeout = 5, time.Minute
			c.Origin = loader.Origin{Rate: 10, Burst: 2}
		})
		for i := range 100 {
			go func() { _, _ = l.Get(t.Context(), fmt.Sprint("k", i)) }()
		}
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 5, begun.Load(), "the slots are taken")
		close(well)
		synctest.Wait()
		require.LessOrEqual(t, begun.Load(), int64(5+2), "Burst")
		time.Sleep(time.Second)
		require.InDelta(t, 5+2+10, begun.Load(), 1, "Burst, and Rate for a second")
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 100, begun.Load())
	})
}

// A second load that Rate does not let begin takes nothing of the budget.
func TestRateSparesTheRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, fakecache.New(1), newOrigin(), func(c *loader.Config[string]) {
			c.Load = func(ctx context.Context, _ string) (string, error) { return "", hang(ctx) }
			c.LoadTimeout = 2 * time.Second
			c.Origin = loader.Origin{SecondAfter: 100 * time.Millisecond, Rate: 1, Burst: 30, RetryBudget: 0.01}
		})
		for i := range 30 {
			go func() { _, _ = l.Get(t.Context(), fmt.Sprint("k", i)) }()
		}
		time.Sleep(time.Minute)
		require.Zero(t, l.Counters().Seconds, "the rate was spent")
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrLoadTimeout)
		require.EqualValues(t, 1, l.Counters().Seconds)
	})
}

// A load whose turn by Rate would come behind its LoadTimeout is one that ran out of that, though it is shed at once.
func TestRateBehindLoadTimeout(t *testing.T) {
	for _, queueWait := range []time.Duration{0, time.Second, 2 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, fakecache.New(1), newOrigin("a", "1", "b", "1"), func(c *loader.Config[string]) {
				c.LoadTimeout = 2 * time.Second
				c.Origin = loader.Origin{Rate: 0.1, QueueWait: queueWait}
			})
			_, err := l.Get(t.Context(), "a")
			require.NoError(t, err)
			began := time.Now()
			_, err = l.Get(t.Context(), "b")
			require.ErrorIs(t, err, loader.ErrOriginBusy)
			require.Equal(t, queueWait != time.Second, errors.Is(err, loader.ErrLoadTimeout), "QueueWait %v", queueWait)
			require.Zero(t, time.Since(began))
		})
	}
}
