package loader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Who waits for another process's load asks again after a quarter of the wait; seldom before a load has usually ended, and
// often when it may well have.
func TestNextPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms, half = time.Millisecond, time.Millisecond / 2
		for _, c := range []struct{ waited, usual, pause time.Duration }{
			{0, 0, ms}, {8 * ms, 0, 2 * ms}, {time.Second, 0, 50 * ms},
			{0, 10 * ms, 2 * ms}, {9 * ms, 10 * ms, 750 * time.Microsecond}, {10 * ms, 10 * ms, half}, {12 * ms, 10 * ms, half},
			{13 * ms, 10 * ms, 13 * ms / 4}, // it is a slow one
			{4 * ms, 100 * ms, 2 * ms}, {80 * ms, 100 * ms, 17500 * time.Microsecond}, {100 * ms, 100 * ms, 5 * ms}, {400 * ms, 100 * ms, 50 * ms},
			{0, ms, half}, {ms, ms, half}, {8 * ms, ms, 2 * ms},
			{time.Second, 10 * time.Second, 50 * ms}, {11 * time.Second, 10 * time.Second, 50 * ms},
		} {
			began := time.Now()
			time.Sleep(c.waited)
			require.Equal(t, c.pause, nextPause(began, c.usual), "waited %v, usual %v", c.waited, c.usual)
		}
		asks := 0
		for began := time.Now(); time.Since(began) <= 10*ms; asks++ {
			time.Sleep(nextPause(began, 10*ms))
		}
		require.Equal(t, 6, asks, "behind a load that takes as long as usual, the last of them sees the value")
	})
}

func TestUsualFollowsLoads(t *testing.T) {
	var l Loader[int]
	l.learnUsual(80)
	require.EqualValues(t, 80, l.usual.Load(), "the first is taken as it is")
	l.learnUsual(160)
	require.EqualValues(t, 90, l.usual.Load())
	for range 100 {
		l.learnUsual(16)
	}
	require.InDelta(t, 16, l.usual.Load(), 8)
}
