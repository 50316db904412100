package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// A restarted node counts its CAS values from the start again, and a token from before
// may fit something else. It is void: the schedule that breaks it without epochs is to store
// as much again as before.
func TestRule16TokensOfARestartedNodeAreVoid(t *testing.T) {
	run := func(t *testing.T, node ring.Node, dial func(context.Context, string, string) (net.Conn, error), restart func()) {
		ctx := context.Background()
		c := newClient(t, client.Config{Nodes: []ring.Node{node}, DialContext: dial})
		other := newClient(t, client.Config{Nodes: []ring.Node{node}, DialContext: dial})
		for round := range 3 {
			set(t, other, "user", "Alice")
			it, err := c.Gets(ctx, "user")
			require.NoError(t, err)
			lease := won(t, c, "leased")
			restart()
			// Until its CAS counter has passed the tokens: one of these items has them.
			answers := func() bool { return other.Ping(ctx) == nil }
			require.Eventually(t, answers, time.Minute, time.Millisecond)
			require.Eventually(t, func() bool {
				_, err := other.Set(ctx, client.Item{Key: "leased", Value: []byte("Carol")})
				require.NoError(t, err)
				set(t, other, "user", "Bob")
				now, err := other.Gets(ctx, "user")
				require.NoError(t, err)
				return now.CAS >= it.CAS
			}, time.Minute, time.Nanosecond)
			it.Value = []byte("Alice, changed")
			require.Eventually(t, func() bool {
				_, err = c.CompareAndSwap(ctx, it) // the first time perhaps on what is left of the old connection
				return err == nil || errors.Is(err, client.ErrCASConflict)
			}, time.Minute, time.Millisecond)
			require.ErrorIs(t, err, client.ErrCASConflict, "round %d", round)
			_, err = c.Fill(ctx, lease, client.Item{Value: []byte("old")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			require.Equal(t, "Bob", get(t, c, "user"))
			require.Equal(t, "Carol", get(t, c, "leased"))
			_, err = c.Delete(ctx, "leased")
			require.NoError(t, err)
		}
	}
	t.Run("memnode", func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		run(t, f.nodes()[0], f.dial, func() {
			f.kill("node0")
			f.restart("node0")
		})
	})
	t.Run("memcached", func(t *testing.T) {
		s := stock.ForTest(t)
		run(t, ring.Addrs(s.Addr())[0], nil, func() {
			require.NoError(t, s.Kill())
			require.NoError(t, s.Restart())
		})
	})
}

// A connection that is lost is no memory that is lost: tokens and leases live on.
func TestRule16TokensOutliveConnections(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		var mu sync.Mutex // guards open
		var open []net.Conn
		c := newClient(t, client.Config{Nodes: h.nodes, ReplicationFactor: 2, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := h.dial(ctx, network, addr)
			mu.Lock()
			defer mu.Unlock()
			open = append(open, nc)
			return nc, err
		}})
		ctx := context.Background()
		set(t, c, "k", "v")
		it, err := c.Gets(ctx, "k")
		require.NoError(t, err)
		lease := won(t, c, "leased")
		mu.Lock()
		for _, nc := range open {
			if nc != nil {
				nc.Close()
			}
		}
		mu.Unlock()
		require.Eventually(t, func() bool { return c.Ping(ctx) == nil }, time.Minute, time.Millisecond)
		it.Value = []byte("w")
		_, err = c.CompareAndSwap(ctx, it)
		require.NoError(t, err)
		require.Equal(t, "w", get(t, c, "k"))
		out, err := c.Fill(ctx, lease, client.Item{Value: []byte("filled")})
		require.NoError(t, err)
		require.Equal(t, 2, out.Confirmed)
		require.Equal(t, "filled", get(t, c, "leased"))
	})
}

// A flush takes the sentinel along. The next ping finds that out, on every connection,
// and says so.
func TestRule16AFlushEndsTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		var changes atomic.Int64
		cfg := hot()
		cfg.Staleness = time.Hour
		c := f.client(client.Config{HotKeys: cfg, Hooks: client.Hooks{EpochChanged: func(node string) {
			require.Equal(t, "node0", node)
			changes.Add(1)
		}}})
		set(t, c, "k", "v")
		heat(t, c, "k")
		it, err := c.Gets(t.Context(), "k")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		require.Zero(t, changes.Load())
		require.Equal(t, 1, c.NearStats().Entries)

		require.NoError(t, f.client(client.Config{}).FlushAll(t.Context()))
		time.Sleep(1500 * time.Millisecond)
		require.EqualValues(t, 1, changes.Load())
		require.Zero(t, c.NearStats().Entries)
		set(t, c, "k", "v")
		_, err = c.CompareAndSwap(t.Context(), it)
		require.ErrorIs(t, err, client.ErrCASConflict)
		// The new life is as good as the old one.
		it, err = c.Gets(t.Context(), "k")
		require.NoError(t, err)
		it.Value = []byte("w")
		_, err = c.CompareAndSwap(t.Context(), it)
		require.NoError(t, err)
		closeFleet(t, f, c)
	})
}

// A node that can't keep the sentinel serves, but nothing of it is held in memory, and its
// tokens end with the connection. So it is with NoEpoch.
func TestRule16ANodeWithoutASentinel(t *testing.T) {
	for _, name := range []string{"refused", "off"} {
		t.Run(name, func(t *testing.T) {
			f := newMemFleet(t, 1, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
				if ofEpoch(r) && r.Cmd == memproto.CmdMetaSet {
					return nodeserver.Verdict{Reply: []byte("SERVER_ERROR out of memory storing object\r\n")}
				}
				return nodeserver.Verdict{}
			}})
			cfg := client.Config{HotKeys: hot(), Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}
			if name == "off" {
				f = newMemFleet(t, 1, nodeserver.Config{})
				cfg.EpochKey = client.NoEpoch
			}
			c := f.client(cfg)
			set(t, c, "k", "v")
			for range 20_000 {
				require.Equal(t, "v", get(t, c, "k"))
			}
			require.Equal(t, "k", c.HotKeys(1)[0].Key)
			require.Zero(t, c.NearStats().Hits)
			it, err := c.Gets(t.Context(), "k")
			require.NoError(t, err)
			_, err = c.CompareAndSwap(t.Context(), it)
			require.NoError(t, err)
			it, err = c.Gets(t.Context(), "k")
			require.NoError(t, err)
			f.network.Kill("node0")
			f.network.Revive("node0")
			f.servers["node0"].Close()
			f.start("node0")
			require.Eventually(t, func() bool { return c.Ping(t.Context()) == nil }, time.Minute, time.Millisecond)
			set(t, c, "k", "v")
			_, err = c.CompareAndSwap(t.Context(), it)
			require.ErrorIs(t, err, client.ErrCASConflict)
		})
	}
}

// The pings keep the sentinel from being evicted, whatever else the node has to store.
func TestRule16TheSentinelStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{MaxBytes: 4 << 20})
		var changes atomic.Int64
		c := f.client(client.Config{Hooks: client.Hooks{EpochChanged: func(string) { changes.Add(1) }}})
		value := make([]byte, 64<<10)
		for i := range 400 {
			_, err := c.Set(t.Context(), client.Item{Key: fmt.Sprint("k", i), Value: value})
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		_, err := c.Get(t.Context(), "k0")
		require.ErrorIs(t, err, client.ErrCacheMiss, "others were evicted")
		require.Zero(t, changes.Load())
		closeFleet(t, f, c)
	})
}

// Clients that find no sentinel at one moment agree on one.
func TestRule16ClientsAgreeOnTheSentinel(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	var changes atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		c := f.client(client.Config{Hooks: client.Hooks{EpochChanged: func(string) { changes.Add(1) }}})
		wg.Go(func() { require.NoError(t, c.Ping(context.Background())) })
	}
	wg.Wait()
	plain := f.client(client.Config{EpochKey: client.NoEpoch})
	require.Len(t, get(t, plain, client.DefaultEpochKey), 16)
	require.Zero(t, changes.Load())
}
