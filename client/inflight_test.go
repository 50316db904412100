package client_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// As many callers as the cap allows are never refused, however many connections they
// share and whichever they go to next.
func TestTheInFlightCapCountsNobodyTwice(t *testing.T) {
	s := stock.ForTest(t)
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr()), ConnsPerNode: 4, MaxInFlight: 600, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(t, err)
	defer c.Close()
	ctx := context.Background()
	_, err = c.Set(ctx, client.Item{Key: "k", Value: []byte("v")})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 600 {
		wg.Go(func() {
			for range scaled(t, 200) {
				if _, err := c.Get(ctx, "k"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, c.Nodes()[0].InFlight)
}

// The client's own looks at a node, once a second, take no caller's place, and callers not theirs: with all places taken all
// the time nobody is refused, and a node that has lost all it had is found out nevertheless.
func TestTheClientsOwnCallsAreOutsideTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{Intercept: func(net.Addr, *memproto.Request) nodeserver.Verdict {
			return nodeserver.Verdict{Delay: 70 * time.Millisecond}
		}})
		const callers = 4
		c := f.client(client.Config{MaxInFlight: callers, Timeout: 2 * time.Second, DialTimeout: 5 * time.Second})
		set(t, c, "k", "v")
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Get(context.Background(), "k"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		// Somebody else, who keeps no sentinel, deletes the client's.
		other := f.client(client.Config{EpochKey: client.NoEpoch})
		time.Sleep(5 * time.Second)
		_, err := other.Delete(ctx, client.DefaultEpochKey)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		_, err = other.Get(ctx, client.DefaultEpochKey)
		require.NoError(t, err, "the client has missed it, and made it again")
		wg.Wait()
		require.Zero(t, c.Nodes()[0].InFlight)
	})
}

// Nodes that take no more requests for a while are owed deletes, and are tried again now and then, not all the time.
func TestBusyNodesAreNotAskedAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var owed atomic.Int64
		f := newMemFleet(t, 2, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
			if strings.HasPrefix(string(r.Key), "slow") {
				v.Delay = time.Second
			}
			return v
		}})
		c := f.client(client.Config{ReplicationFactor: 2, MaxInFlight: 1, Timeout: 2 * time.Second, Hooks: client.Hooks{Owed: func(string, int) {
			if owed.Add(1) > 1000 {
				time.Sleep(time.Millisecond) // or time would stand still
			}
		}}})
		defer closeFleet(t, f, c)
		set(t, c, "k", "v")
		done := make(chan struct{})
		go func() {
			defer close(done)
			set(t, c, "slow", "v")
		}()
		synctest.Wait()
		out, err := c.Delete(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrBusy)
		require.Equal(t, client.Outcome{Copies: 2, Owed: 2}, out)
		<-done
		time.Sleep(10 * time.Second)
		for _, s := range c.Nodes() {
			require.Zero(t, s.Debt)
		}
		require.Less(t, owed.Load(), int64(200))
	})
}

// A node all of whose places callers take all the time, again as soon as one is free, hears of what it is owed nevertheless, and comes up.
func TestANodeThatIsBusyIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		l.decide(func(_ string, r *memproto.Request) (v nodeserver.Verdict) {
			if r.Cmd == memproto.CmdMetaSet {
				v.Delay = 50 * time.Millisecond
			}
			return v
		})
		const places = 4
		c := l.client(client.Config{MaxInFlight: places, Timeout: time.Second})
		defer l.closeAll(c)
		set(t, c, "k", "v")
		l.network.Partition("node0", true)
		_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("w")}) // it is owed two deletes, one after the other
		require.ErrorIs(t, err, client.ErrTimeout)
		require.Equal(t, "down", c.Nodes()[0].State)
		l.network.Partition("node0", false)
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		var done atomic.Int64
		for range 2 * places {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Set(context.Background(), client.Item{Key: "busy", Value: []byte("v")}); err == nil {
						done.Add(1)
					} else {
						time.Sleep(100 * time.Microsecond)
					}
				}
			})
		}
		time.Sleep(5 * time.Second)
		s := c.Nodes()[0]
		require.GreaterOrEqual(t, s.InFlight, places-1)
		require.Zero(t, s.Debt)
		require.Equal(t, "up", s.State)
		wg.Wait()
		require.Greater(t, done.Load(), int64(100))
		require.Zero(t, c.Nodes()[0].InFlight)
	})
}

// A win that a read draws by accident is given back, though callers have taken all places by then.
func TestAWinIsGivenBackThoughAllPlacesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		l.decide(func(_ string, r *memproto.Request) (v nodeserver.Verdict) {
			if string(r.Key) == "slow" {
				v.Delay = 500 * time.Millisecond
			}
			return v
		})
		c := l.client(client.Config{MaxInFlight: 1, Timeout: time.Second})
		defer l.closeAll(c)
		set(t, c, "first", "v")
		set(t, c, "stale", "v")
		l.markStale("node0", "stale")
		done := make(chan struct{})
		require.NoError(t, c.GetMultiFunc(t.Context(), []string{"first", "stale"}, func(it client.Item) {
			if it.Key == "first" { // the answer that brings the win comes behind it
				go func() { defer close(done); _, _ = c.Get(t.Context(), "slow") }()
				synctest.Wait()
			}
		}))
		<-done
		synctest.Wait()
		require.Contains(t, l.line("node0", "mg stale t\r\n"), " W", "whoever comes next wins")
	})
}
