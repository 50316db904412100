package loader

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Requests that begin within a second share a timer, and none of them has less than its 5 s.
func TestBoundsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bounds
		b.close() // nothing to end
		left := func() time.Duration {
			at, ok := b.of(t.Context(), time.Now()).Deadline()
			require.True(t, ok)
			return time.Until(at)
		}
		require.Equal(t, 6*time.Second, left())
		first := b.newest.Load()
		time.Sleep(time.Second - 1)
		require.Equal(t, 5*time.Second+1, left())
		require.Same(t, first, b.newest.Load())
		time.Sleep(time.Nanosecond)
		require.Equal(t, 6*time.Second, left())
		require.NotSame(t, first, b.newest.Load())
		require.NoError(t, first.Err(), "its requests go on")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.ErrorIs(t, first.Err(), context.DeadlineExceeded)
		b.close()
		require.ErrorIs(t, b.newest.Load().Err(), context.Canceled)
	})
}

// Whoever watches such a context, as who reads a connection does, needs no goroutine for it.
func TestBoundsAreWatchedCheaply(t *testing.T) {
	var b bounds
	defer b.close()
	before := runtime.NumGoroutine()
	for range 100 {
		stop := context.AfterFunc(b.of(context.WithoutCancel(t.Context()), time.Now()), func() {})
		defer stop()
	}
	require.Less(t, runtime.NumGoroutine(), before+50)
}
