package loader_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// A process that won the lease and died: the others load when its time is up.
func TestHolderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		dead, err := c.Lease(t.Context(), "k", item.LeaseOptions{TTL: 7 * time.Second})
		require.NoError(t, err)
		require.Equal(t, item.LeaseWon, dead.State)
		began := time.Now()
		herd(t, 200, "v", open(t, c, o), open(t, c, o))
		took := time.Since(began)
		require.GreaterOrEqual(t, took, 7*time.Second)
		require.LessOrEqual(t, took, 7*time.Second+100*time.Millisecond)
		require.EqualValues(t, 1, o.loads.Load())
	})
}

// The lease asked for covers the load timeout, within the bounds of a lease.
func TestLeaseTTL(t *testing.T) {
	for _, tc := range []struct{ load, lease, want time.Duration }{
		{0, 0, 11 * time.Second},
		{5 * time.Second, 0, 6 * time.Second},
		{100 * time.Millisecond, 0, 2 * time.Second},
		{5 * time.Minute, 0, time.Minute},
		{0, 3 * time.Second, 3 * time.Second},
		{0, time.Millisecond, 2 * time.Second},
	} {
		var got time.Duration
		c := leaseSpy{fakecache.New(1), &got}
		l := open(t, c, newOrigin("k", "v"), func(c *loader.Config[string]) {
			c.LoadTimeout, c.LeaseTTL = tc.load, tc.lease
		})
		_, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, tc.want, got)
	}
}

type leaseSpy struct {
	*fakecache.Cache
	ttl *time.Duration
}

func (c leaseSpy) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	*c.ttl = o.TTL
	return c.Cache.Lease(ctx, key, o)
}

// The holder's load fails: the next process loads at its next look, not after the
// lease.
func TestHolderFailsNextLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(2)
		bad, good := newOrigin(), newOrigin("k", "v")
		bad.hook = func(string) error { time.Sleep(time.Second); return errors.New("replica lost") }
		began := time.Now()
		failed := make(chan error)
		first := open(t, c, bad)
		go func() { _, err := first.Get(t.Context(), "k"); failed <- err }()
		synctest.Wait()
		second := open(t, c, good)
		got := make(chan error)
		go func() { _, err := second.Get(t.Context(), "k"); got <- err }()
		require.ErrorContains(t, <-failed, "replica lost")
		require.NoError(t, <-got)
		require.LessOrEqual(t, time.Since(began), time.Second+100*time.Millisecond)
		require.EqualValues(t, 1, good.loads.Load())
	})
}

// A poller stops when nobody waits for it any more; a later caller starts afresh.
func TestPollerEndsWithItsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		_, err := c.Lease(t.Context(), "k", item.LeaseOptions{TTL: 50 * time.Second})
		require.NoError(t, err)
		l := open(t, c, o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = l.Get(ctx, "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		asked := c.Calls("Lease")
		time.Sleep(10 * time.Second)
		require.Equal(t, asked, c.Calls("Lease"), "still asking for nobody")
		herd(t, 10, "v", l)
		require.EqualValues(t, 1, o.loads.Load())
	})
}

// forever says Wait whatever happens.
type forever struct{ *fakecache.Cache }

func (forever) Lease(context.Context, string, item.LeaseOptions) (item.Lease, error) {
	return item.Lease{State: item.LeaseWait}, nil
}

// A cache that never lets go of a lease delays a caller, but not for ever.
func TestWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "v")
		times := func(c *loader.Config[string]) { c.LoadTimeout, c.LeaseTTL = 2*time.Second, 4*time.Second }
		l := open(t, forever{fakecache.New(1)}, o, times)
		began := time.Now()
		herd(t, 10, "v", l)
		require.GreaterOrEqual(t, time.Since(began), 10*time.Second)
		require.LessOrEqual(t, time.Since(began), 11*time.Second)
		require.EqualValues(t, 1, o.loads.Load())
		require.EqualValues(t, 1, l.Counters().FailOpen)
	})
}

// A reader that comes after another process's Delete returned must not be served by
// a load of this process that began before it: the fill is refused, which shows it.
func TestLateJoinerOutlivesForeignWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		o.slow = time.Second // each load reads first and returns a second later
		l, foreign := open(t, c, o), open(t, c, o)
		values := make(chan string, 100)
		get := func() {
			v, err := l.Get(t.Context(), "k")
			require.NoError(t, err)
			values <- v
		}
		go get()
		synctest.Wait() // "old" has been read
		require.NoError(t, foreign.Put(t.Context(), "k", "new"))
		for range 50 {
			go get()
		}
		require.Equal(t, "old", <-values, "who came before the write may see what was before it")
		for range 50 {
			require.Equal(t, "new", <-values)
		}
		require.EqualValues(t, 2, o.loads.Load(), "the late ones share one load")
		require.EqualValues(t, 1, l.Counters().LeaseLost)
	})
}

// Without a write in between, late joiners take the load they joined.
func TestLateJoinerTakesAProvenLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		o.slow = time.Second
		l := open(t, c, o)
		got := make(chan error, 50)
		for range 50 {
			go func() { _, err := l.Get(t.Context(), "absent"); got <- err }()
			synctest.Wait()
		}
		for range 50 {
			require.ErrorIs(t, <-got, loader.ErrNotFound)
		}
		require.EqualValues(t, 1, o.loads.Load())
		require.Equal(t, 1, c.Calls("Lease"))
	})
}
