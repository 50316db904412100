package scenario

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestJudgeSeconds(t *testing.T) {
	r := &run{Setup: Setup{Herd: Herd{Calm: 2 * time.Second, Fault: time.Second}}, values: map[string]float64{}}
	good := second{Reads: 100, Fresh: 10}
	r.judgeSeconds([]second{good, {Reads: 100, Failed: 10, Fresh: 10},
		{Reads: 100, Failed: 60, Fresh: 10, FreshFailed: 9}, // during
		{Reads: 100, Failed: 6, Fresh: 10}, good, {Reads: 100, Fresh: 0, Failed: 4}, {Reads: 100, Failed: 5, Fresh: 10, FreshFailed: 1}, good})
	assert.Equal(t, map[string]float64{fCalmGood: 95, fWorst: 40, fGoodput: 1, fWorstNew: 10, fGoodFresh: 4}, rounded(r.values))

	r.values = map[string]float64{}
	r.judgeSeconds([]second{good, good, good, {}, {Reads: 100, Failed: 100, Fresh: 10, FreshFailed: 10}})
	assert.EqualValues(t, 2, r.values[fGoodput], "not even at the end")
	assert.EqualValues(t, 0, r.values[fWorst])
}

func rounded(in map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for k, v := range in {
		out[k] = float64(int(v + 0.5))
	}
	return out
}

func TestSum(t *testing.T) {
	now := time.Now()
	got := sum([]answer{
		{Failed: 1, Wrong: 2, Misses: 3, Notes: []string{"a"}, Ended: now, Slowest: 5, P99: 7, Seconds: []second{{Reads: 1}}},
		{Failed: 10, Notes: []string{"b"}, Ended: now.Add(-1), Slowest: 4, P99: 8, Seconds: []second{{Reads: 2, Failed: 1}, {Fresh: 1, FreshFailed: 1}}},
	})
	assert.Equal(t, answer{Failed: 11, Wrong: 2, Misses: 3, Notes: []string{"a", "b"}, Ended: now, Slowest: 5, P99: 8,
		Seconds: []second{{Reads: 3, Failed: 1}, {Fresh: 1, FreshFailed: 1}}}, got)
}

// Without leases every process loads: what stampede holds against its floors is seen.
func TestTheFloorsCanBeMissed(t *testing.T) {
	stock.Need(t)
	r := newRun(t)
	both, asked := make(chan struct{}), atomic.Int32{}
	shared := origin.SharedConfig{Asked: func(int, string) <-chan struct{} {
		if asked.Add(1) == 2 {
			close(both)
		}
		return both
	}}
	var loads origin.Loads
	var got answer
	require.NoError(t, r.gather(2, shared, reading{Unleased: true}, func(h *herd) (err error) {
		got, err = h.all(h.readers, func(int) order { return order{Get: &getting{Key: "k", Callers: 20, At: time.Now().Add(begins)}} })
		loads = h.origin.Loads()
		return err
	}))
	assert.EqualValues(t, 2, loads.All)
	assert.EqualValues(t, 1, loads.Needed)
	assert.GreaterOrEqual(t, got.Misses, int64(2))
	assert.Zero(t, got.Failed+got.Wrong)
}

func TestLoadsBrokenOff(t *testing.T) {
	stock.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range Loads() {
		_, err := Play(ctx, s, Quick, nil)
		require.ErrorIs(t, err, context.Canceled, s.Name)
	}
}

func TestBoundsAsText(t *testing.T) {
	assert.Equal(t, "= 1", exactly(1).String())
	assert.Equal(t, "≤ 1", most(1).String())
	assert.Equal(t, "≥ 1", least(1).String())
	assert.Empty(t, Bound{}.String())
}
