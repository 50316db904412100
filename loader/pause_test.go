package loader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Who waits for another process's load asks again after a quarter of the wait, and more often while a load may well end.
func TestNextPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		for _, c := range []struct{ waited, usual, pause time.Duration }{
			{0, 0, ms}, {8 * ms, 0, 2 * ms}, {time.Second, 0, 50 * ms},
			{8 * ms, 10 * ms, ms}, {19 * ms, 10 * ms, ms}, {20 * ms, 10 * ms, 5 * ms}, // not before two usual loads are over
			{8 * ms, 100 * ms, 2 * ms}, {80 * ms, 100 * ms, 10 * ms}, {400 * ms, 100 * ms, 50 * ms},
			{8 * ms, ms, 2 * ms}, {time.Second, 10 * time.Second, 50 * ms},
		} {
			began := time.Now()
			time.Sleep(c.waited)
			require.Equal(t, c.pause, nextPause(began, c.usual), "waited %v, usual %v", c.waited, c.usual)
		}
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
