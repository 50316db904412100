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

// sleeper is a client whose every get takes as long as it is told.
func sleeper(name string, d time.Duration, log *[]string) Contender {
	return Contender{name, func(int) (func(context.Context, int) error, func() error, error) {
		*log = append(*log, name)
		return func(context.Context, int) error { time.Sleep(d); return nil }, func() error { return nil }, nil
	}}
}

func TestRatiosAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		scores, err := Run(t.Context(), Config{
			Base:       sleeper("a", 2*time.Millisecond, &log),
			Others:     []Contender{sleeper("b", time.Millisecond, &log), sleeper("a2", 2*time.Millisecond, &log)},
			Goroutines: []int{1, 4}, Rounds: 3, Slot: time.Second, Keys: 10,
		})
		require.NoError(t, err)
		require.Len(t, scores, 6)
		assert.Equal(t, "a b a2 b a2 a a2 a b", strings.Join(log[:9], " "), "the order rotates")
		assert.Equal(t, 1.0, scores[0].Ratio)
		assert.InDelta(t, 2.0, scores[1].Ratio, 0.01)
		assert.InDelta(t, 1.0, scores[2].Ratio, 0.01)
		assert.InDelta(t, 4000, scores[4].OpsPerS, 10)
		assert.Equal(t, 4, scores[4].Goroutines)
		assert.InDelta(t, 1000, scores[4].P50, 5)
	})
}

func TestAnErrorEndsTheComparison(t *testing.T) {
	closed := 0
	bad := Contender{"bad", func(int) (func(context.Context, int) error, func() error, error) {
		return func(context.Context, int) error { return errors.New("boom") }, func() error { closed++; return nil }, nil
	}}
	_, err := Run(t.Context(), Config{Base: bad, Goroutines: []int{2}, Rounds: 1, Slot: time.Minute, Keys: 1})
	assert.ErrorContains(t, err, "bad with 2 goroutines: boom")
	assert.Equal(t, 1, closed)
	unopened := Contender{"shut", func(int) (func(context.Context, int) error, func() error, error) { return nil, nil, errors.New("no") }}
	_, err = Run(t.Context(), Config{Base: unopened, Goroutines: []int{1}, Rounds: 1, Slot: time.Second, Keys: 1})
	assert.ErrorContains(t, err, "no")
	_, err = Run(t.Context(), Config{})
	assert.Error(t, err)
}

func TestMedian(t *testing.T) {
	assert.Equal(t, 2.0, median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
}
