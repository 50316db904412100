package drive

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/measure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClosedLoopEndsByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ticks int
		var last int64
		res, err := Run(t.Context(), Config{Workers: 4, Duration: time.Second,
			Watch: func(ops int64, _ time.Duration) { ticks++; last = ops }},
			func(context.Context, *Worker, int64) measure.Kind {
				time.Sleep(10 * time.Millisecond)
				return measure.Read
			})
		require.NoError(t, err)
		assert.EqualValues(t, 400, res.Ops())
		assert.EqualValues(t, 400, last)
		assert.GreaterOrEqual(t, ticks, 10)
		assert.Equal(t, time.Second, res.Elapsed)
		assert.InDelta(t, 10_000, res.Latency().P99, 20)
		assert.Len(t, res.Slices, 11, "the last operations end in the slice that begins at the end")
	})
}

func TestEveryOperationRunsOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[int64]int{}
	res, err := Run(t.Context(), Config{Workers: 8, Ops: 1000}, func(_ context.Context, w *Worker, n int64) measure.Kind {
		mu.Lock()
		defer mu.Unlock()
		seen[n]++
		return measure.Write
	})
	require.NoError(t, err)
	assert.EqualValues(t, 1000, res.Of(measure.Write))
	assert.Len(t, seen, 1000)
	for n := range int64(1000) {
		assert.Equal(t, 1, seen[n])
	}
}

// TestOpenLoopCountsFromTheIntendedStart stalls the server for a second in the
// middle: a closed loop would show one slow operation a worker, the timetable shows
// everyone who would have come meanwhile.
func TestOpenLoopCountsFromTheIntendedStart(t *testing.T) {
	stall := func(rate float64) Result {
		var out Result
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var err error
			out, err = Run(t.Context(), Config{Workers: 4, Duration: 10 * time.Second, Rate: rate},
				func(context.Context, *Worker, int64) measure.Kind {
					if at := time.Since(start); at > 4*time.Second && at < 5*time.Second {
						time.Sleep(5*time.Second - at)
					}
					time.Sleep(time.Millisecond)
					return measure.Read
				})
			require.NoError(t, err)
		})
		return out
	}
	open, closed := stall(500), stall(0)
	assert.EqualValues(t, 5000, open.Ops())
	assert.Greater(t, open.Latency().P999, 900_000.0)
	assert.Greater(t, open.Latency().P90, 10_000.0)
	assert.Less(t, closed.Latency().P999, 10_000.0, "this is what coordinated omission looks like")
	assert.Less(t, open.Lag().P99, 1.0, "the generator itself was on time")
}

func TestCancelEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		res, err := Run(ctx, Config{Workers: 2, Duration: time.Hour, Rate: 0.1},
			func(context.Context, *Worker, int64) measure.Kind { return measure.Read })
		require.NoError(t, err)
		assert.Equal(t, 50*time.Millisecond, res.Elapsed)
	})
}

func TestEachWorkerRunsOnceInTheShortestRun(t *testing.T) {
	res, err := Run(t.Context(), Config{Workers: 5, Duration: 1}, func(context.Context, *Worker, int64) measure.Kind { return measure.Read })
	require.NoError(t, err)
	assert.EqualValues(t, 5, res.Ops())
}

// A run ends in time however long its workers' first turns are away: 64 of them at ten in a second took six times as long.
func TestNobodyWaitsForATurnBeyondTheEnd(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			res, err := Run(t.Context(), Config{Workers: 64, Duration: time.Second, Rate: rate, MaxRate: 10},
				func(context.Context, *Worker, int64) measure.Kind { return measure.Read })
			require.NoError(t, err)
			assert.EqualValues(t, 10, res.Ops())
			assert.LessOrEqual(t, res.Elapsed, time.Second)
		})
	}
}

// However little a rate is, it is one: times that no Duration can hold were times long past, and operations due at once.
func TestTheLeastRates(t *testing.T) {
	for _, cfg := range []Config{{Rate: 1e-12}, {MaxRate: 1e-12}, {Rate: 5e-324}, {MaxRate: 5e-324}, {Rate: 1e-8, MaxRate: 1e-8}} {
		synctest.Test(t, func(t *testing.T) {
			cfg.Workers, cfg.Duration = 100, time.Hour
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := Run(ctx, cfg, func(_ context.Context, _ *Worker, n int64) measure.Kind {
				if n > 1000 { // it would not end else
					cancel()
				}
				return measure.Read
			})
			require.NoError(t, err)
			assert.EqualValues(t, 1, res.Ops(), "%+v", cfg)
		})
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{}, {Workers: 1}, {Workers: 1, Ops: 1, Rate: -1}, {Ops: 1}, {Workers: 1, Ops: 1, MaxRate: -1}, {Workers: 1, Ops: 1, Rate: 1, Due: func(int64) time.Duration { return 0 }}} {
		_, err := Run(t.Context(), c, nil)
		assert.Error(t, err)
	}
}

// TestTimetable: operations are due when the timetable says, and no more than MaxRate begin in a second, in an open loop and
// in a closed one.
func TestTimetable(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    Config
		lasts  time.Duration
		begins func(n int64) time.Duration
	}{
		"timetable": {Config{Due: func(n int64) time.Duration { return time.Duration(n*n) * time.Millisecond }}, 81 * time.Millisecond,
			func(n int64) time.Duration { return time.Duration(n*n) * time.Millisecond }},
		"bounded":        {Config{Due: func(int64) time.Duration { return 0 }, MaxRate: 100}, 90 * time.Millisecond, func(n int64) time.Duration { return time.Duration(n) * 10 * time.Millisecond }},
		"bounded closed": {Config{MaxRate: 100}, 90 * time.Millisecond, func(n int64) time.Duration { return time.Duration(n) * 10 * time.Millisecond }},
		"below":          {Config{Rate: 50, MaxRate: 100}, 180 * time.Millisecond, func(n int64) time.Duration { return time.Duration(n) * 20 * time.Millisecond }},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c.cfg.Workers, c.cfg.Ops = 1, 10
			res, err := Run(t.Context(), c.cfg, func(_ context.Context, _ *Worker, n int64) measure.Kind {
				assert.Equal(t, c.begins(n), time.Since(start), "%s: %d", name, n)
				return measure.Read
			})
			require.NoError(t, err)
			assert.Equal(t, c.lasts, res.Elapsed, name)
			if name == "bounded" {
				assert.InDelta(t, 90_000, res.Latency().Max, 1000, "it was due at once")
			} else {
				assert.Less(t, res.Latency().Max, 1.0, name)
			}
			assert.Positive(t, len(res.Intervals), name)
		})
	}
}
