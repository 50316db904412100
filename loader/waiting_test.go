package loader_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
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

// Who has loaded knows when to ask for what others load: a few times, and just when it is there.
func TestWaitersKnowHowLongLoadsTake(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		takes, trip time.Duration
		polls       uint64
		late        time.Duration
	}{
		{100 * ms, 0, 8, ms / 2}, // one soon, in case it is a write, five before loads end, and one or two then
		{10 * ms, ms, 3, 2 * ms}, // none before, as the cache is slow
		{10 * ms, 0, 7, ms / 2},  // some, as it is not
		{3 * ms, ms / 10, 2, ms}, // soon enough
		{ms / 2, ms / 10, 2, ms}, // at once
	} {
		synctest.Test(t, func(t *testing.T) {
			f, o := fakecache.New(1), newOrigin("k", "v")
			o.slow = c.takes
			f.Step = func(string, int) error { time.Sleep(c.trip); return nil }
			holder, waiter := open(t, f, o), open(t, f, o)
			for i := range 20 {
				key := fmt.Sprint("other", i)
				o.set(key, "v")
				_, err := waiter.Get(t.Context(), key)
				require.NoError(t, err)
			}
			began := time.Now()
			filled := make(chan time.Duration, 1)
			go func() {
				mustGet(t, holder, "v")
				filled <- time.Since(began)
			}()
			time.Sleep(c.trip + 1) // it has the lease
			mustGet(t, waiter, "v")
			require.LessOrEqual(t, time.Since(began)-<-filled, c.late, c)
			require.LessOrEqual(t, waiter.Counters().Polls, c.polls, c)
			require.Positive(t, waiter.Counters().Polls, c)
		})
	}
}

// Loads take long and the write does not: who finds its token looks once soon.
func TestWaitersBehindAWrite(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		f, o := fakecache.New(1), newOrigin("other", "v")
		o.slow = 100 * ms
		slow := func(c *loader.Config[string]) {
			c.Store = func(ctx context.Context, k, v string) error {
				time.Sleep(ms)
				return o.store(ctx, k, v)
			}
		}
		writer, reader := open(t, f, o, writeThrough, slow), open(t, f, o, writeThrough, slow)
		_, err := reader.Get(t.Context(), "other")
		require.NoError(t, err)
		put := make(chan error, 1)
		go func() { put <- writer.Put(t.Context(), "k", "v") }()
		time.Sleep(time.Nanosecond) // it has its token
		began := time.Now()
		mustGet(t, reader, "v")
		require.LessOrEqual(t, time.Since(began), 2*ms)
		require.NoError(t, <-put)
		require.EqualValues(t, 1, o.loads.Load(), "the other key's")
	})
}

// telling says how long leases have been held, as the client does.
type telling struct {
	*fakecache.Cache
	won *atomic.Int64 // when the last lease was won, in Unix nanoseconds
}

func (c telling) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	l, err := c.Cache.Lease(ctx, key, o)
	switch l.State {
	case item.LeaseWon:
		c.won.Store(time.Now().UnixNano())
	case item.LeaseWait:
		l.Held = time.Duration(time.Now().UnixNano() - c.won.Load())
	}
	return l, err
}

// Who comes when another process has nearly loaded it waits for what is left, not for a whole load.
func TestWhoComesLateWaitsForTheRest(t *testing.T) {
	const ms = time.Millisecond
	for _, takes := range []time.Duration{10 * ms, 40 * ms} {
		for _, tells := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var c loader.Cache
				f, o := fakecache.New(1), newOrigin("k", "v")
				o.slow = takes
				f.Step = func(string, int) error { time.Sleep(ms); return nil }
				if c = f; tells {
					c = telling{f, new(atomic.Int64)}
				}
				holder, waiter := open(t, c, o), open(t, c, o)
				for i := range 20 {
					key := fmt.Sprint("other", i)
					o.set(key, "v")
					_, err := waiter.Get(t.Context(), key)
					require.NoError(t, err)
				}
				filled := make(chan time.Time, 1)
				go func() {
					mustGet(t, holder, "v")
					filled <- time.Now()
				}()
				time.Sleep(takes * 3 / 4)
				mustGet(t, waiter, "v")
				late := time.Since(<-filled)
				if tells {
					require.LessOrEqual(t, late, 4*ms, takes)
					require.LessOrEqual(t, waiter.Counters().Polls, uint64(4), takes)
				} else if takes == 10*ms {
					require.Greater(t, late, 5*ms) // of a longer load it asks before, too
				}
				require.EqualValues(t, 21, o.loads.Load())
			})
		}
	}
}
