package pace

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTurnsAreApart: however many ask at once, and nobody makes up for a pause.
func TestTurnsAreApart(t *testing.T) {
	start := time.Now()
	p := New(start, 3*time.Millisecond, Gap(1000))
	var mu sync.Mutex
	var at []time.Duration
	firsts := 0
	ask := func(now time.Duration) {
		turn, first := p.Turn(start.Add(now))
		mu.Lock()
		defer mu.Unlock()
		at = append(at, turn.Sub(start))
		if first {
			firsts++
			assert.Equal(t, 3*time.Millisecond, turn.Sub(start))
		}
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { ask(0) })
	}
	wg.Wait()
	slices.Sort(at)
	for i, got := range at {
		assert.Equal(t, time.Duration(3+i)*time.Millisecond, got)
	}
	assert.Equal(t, 1, firsts)

	at = nil
	ask(time.Second)
	ask(time.Second)
	assert.Equal(t, []time.Duration{time.Second, time.Second + time.Millisecond}, at)
	assert.Equal(t, 1, firsts)
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		start := time.Now()
		require.NoError(t, Until(ctx, timer, start.Add(time.Minute)))
		assert.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, Until(ctx, timer, start))
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, Until(ctx, timer, start.Add(time.Hour)), context.Canceled)
		require.ErrorIs(t, Until(ctx, timer, start), context.Canceled)
		assert.Equal(t, time.Minute+time.Second, time.Since(start))
	})
}
