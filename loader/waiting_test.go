package loader_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader/internal/fakecache"
)

// Who waits for another process's load has the value a quarter later, at most, than the
// wait was long, and no more than 50 ms after it was filled; and asks a few dozen times at most.
func TestWaitersAreNotMuchLater(t *testing.T) {
	for _, takes := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			for range 50 {
				f, o := fakecache.New(2), newOrigin("k", "v")
				o.slow = takes
				holder, waiter := open(t, f, o), open(t, f, o)
				began := time.Now()
				filled := make(chan time.Duration, 1)
				go func() {
					mustGet(t, holder, "v")
					filled <- time.Since(began)
				}()
				synctest.Wait() // it has the lease
				mustGet(t, waiter, "v")
				late := time.Since(began) - <-filled
				require.LessOrEqual(t, late, min(max(takes/4, time.Millisecond), 50*time.Millisecond), takes)
				require.LessOrEqual(t, waiter.Counters().Polls, uint64(100))
				require.EqualValues(t, 1, o.loads.Load())
			}
		})
	}
}
