package loader_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// gatedCache holds its first Lease back until the gate opens, and its third until
// third has an answer, when third is set.
type gatedCache struct {
	*fakecache.Cache
	gate    chan struct{}
	reached chan struct{}
	third   chan answer
	n       atomic.Int32
}

type answer struct {
	lease item.Lease
	err   error
}

func newGated(c *fakecache.Cache) *gatedCache {
	return &gatedCache{Cache: c, gate: make(chan struct{}), reached: make(chan struct{})}
}

func (g *gatedCache) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	switch n := g.n.Add(1); {
	case n == 1:
		close(g.reached)
		<-g.gate
	case n == 3 && g.third != nil:
		a := <-g.third
		return a.lease, a.err
	}
	return g.Cache.Lease(ctx, key, o)
}

// A caller that wins a lease while the process's poller sleeps hands it over: the
// load starts at once, and the lease is not left lying.
//
//  1. another process holds the lease; caller A waits, its poller pauses;
//  2. caller B, past the table, asks the cache late: the holder has released, B wins;
//  3. B finds A's flight and hands the lease in.
func TestWonLeaseIsHandedToThePoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		held, err := c.Lease(t.Context(), "k", item.LeaseOptions{})
		require.NoError(t, err)
		g := newGated(c)
		l := open(t, g, o)
		got := make(chan error, 2)
		go func() { _, err := l.Get(t.Context(), "k"); got <- err }() // B
		<-g.reached
		go func() { _, err := l.Get(t.Context(), "k"); got <- err }() // A
		time.Sleep(300*time.Millisecond + 1)                          // the pauses are long now
		began := time.Now()
		require.NoError(t, c.Release(t.Context(), held))
		close(g.gate)
		require.NoError(t, <-got)
		require.NoError(t, <-got)
		require.Zero(t, time.Since(began), "nobody waited for the next poll")
		require.EqualValues(t, 1, o.loads.Load())
		e, ok := c.Peek(0, "k")
		require.True(t, ok && !e.Stub)
	})
}

// The same while the poller's own request is under way; whatever its answer, the
// handed lease is used or handed back.
func TestHandedLeaseMeetsThePollersAnswer(t *testing.T) {
	// A hit's bytes, as another process stores them.
	twin := fakecache.New(1)
	_, err := open(t, twin, newOrigin("k", "theirs")).Get(t.Context(), "k")
	require.NoError(t, err)
	theirs, _ := twin.Peek(0, "k")

	for name, tc := range map[string]struct {
		answer func(held item.Lease) answer
		want   []string
	}{
		"error":      {func(item.Lease) answer { return answer{err: errors.New("reset")} }, []string{"ours", "ours"}},
		"none":       {func(item.Lease) answer { return answer{lease: item.Lease{State: item.LeaseNone}} }, []string{"ours", "ours"}},
		"wait":       {func(item.Lease) answer { return answer{lease: item.Lease{State: item.LeaseWait}} }, []string{"ours", "ours"}},
		"an old win": {func(held item.Lease) answer { return answer{lease: held} }, []string{"ours", "ours"}},
		"hit": {func(item.Lease) answer {
			return answer{lease: item.Lease{State: item.LeaseHit, Item: item.Item{Value: theirs.Value}}}
			// The caller that won came after the poller asked, so the hit is too old for it
			// and the next flight serves it.
		}, []string{"theirs", "ours"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "ours")
				held, err := c.Lease(t.Context(), "k", item.LeaseOptions{})
				require.NoError(t, err)
				g := newGated(c)
				g.third = make(chan answer)
				l := open(t, g, o)
				got := make(chan string, 2)
				get := func() {
					v, err := l.Get(t.Context(), "k")
					require.NoError(t, err)
					got <- v
				}
				go get()
				<-g.reached
				go get()
				time.Sleep(50 * time.Millisecond) // the poller hangs in its request
				require.NoError(t, c.Release(t.Context(), held))
				close(g.gate)
				synctest.Wait() // handed in
				g.third <- tc.answer(held)
				require.ElementsMatch(t, tc.want, []string{<-got, <-got})
				require.NoError(t, l.Close())
				e, ok := c.Peek(0, "k")
				require.True(t, ok && !e.Stub, "no lease is left lying")
				require.EqualValues(t, 1, o.loads.Load())
				require.Zero(t, l.Counters().FailOpen)
			})
		})
	}
}

// A closed loader that wins a lease at the last moment hands it back.
func TestCloseReleasesALateWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(2)
		g := newGated(c)
		l := open(t, g, newOrigin("k", "v"))
		got := make(chan error, 1)
		go func() { _, err := l.Get(t.Context(), "k"); got <- err }()
		<-g.reached
		require.NoError(t, l.Close())
		close(g.gate)
		require.ErrorIs(t, <-got, loader.ErrClosed)
		_, ok := c.Peek(0, "k")
		require.False(t, ok, "others would wait out the lease")
	})
}
