package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
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

// The home copy dies between lease and fill: the other copy holds the winner's stub, so
// others wait there and nobody loads twice, and takes its fill.
func TestRule3HomeDiesBetweenLeaseAndFill(t *testing.T) {
	run := func(t *testing.T, nodes []ring.Node, newC func() *client.Client, kill, restart func(name string)) {
		ctx := context.Background()
		r := ringOf(t, ring.Config{Nodes: nodes, Copies: 2})
		a, b := newC(), newC()
		key := "orphan"
		home := r.Owner(key).Name
		l := won(t, a, key)
		require.NoError(t, b.Ping(ctx))
		kill(home)
		for _, c := range []*client.Client{a, b} {
			require.Error(t, c.Ping(ctx)) // learns of the broken connection, or dials
			require.Error(t, c.Ping(ctx))
			awaitState(t, c, home, "down")
		}
		other, err := b.Lease(ctx, key, client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "wait", other.State.String(), "the stub on the other copy keeps the second from loading")
		out, err := a.Fill(ctx, l, client.Item{Value: []byte("v")})
		require.ErrorIs(t, err, client.ErrLeaseLost, "the home copy did not take it")
		require.Equal(t, 1, out.Confirmed, "the other copy did")
		require.Equal(t, "v", get(t, b, key))
		restart(home)
		awaitState(t, a, home, "up")
		require.Equal(t, "v", get(t, a, key), "the restarted home is given what the other copy took")
	}
	t.Run("memnode", func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		newC := func() *client.Client { return f.client(client.Config{ReplicationFactor: 2}) }
		run(t, f.nodes(), newC, f.kill, f.restart)
	})
	t.Run("memcached", func(t *testing.T) {
		servers := map[string]*stock.Server{}
		var addrs []string
		for range 2 {
			s := stock.ForTest(t)
			servers[s.Addr()] = s
			addrs = append(addrs, s.Addr())
		}
		nodes := ring.Addrs(addrs...)
		run(t, nodes, func() *client.Client { return newClient(t, client.Config{Nodes: nodes, ReplicationFactor: 2}) },
			func(name string) { require.NoError(t, servers[name].Kill()) },
			func(name string) { require.NoError(t, servers[name].Restart()) })
	})
}

// While a delete waits for the other copy the owner still has its value, so that no
// reader can win a token there: delete home, reader wins, reader reads the other copy,
// delete the other copy, fill home would bring the old value back.
func TestRule2NobodyWinsWhileADeleteIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		a, b := l.client(client.Config{ReplicationFactor: 2}), l.client(client.Config{ReplicationFactor: 2})
		key := "k"
		set(t, a, key, "old")
		hold := make(chan struct{})
		other := l.placed(2, key)[1]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if node == other && r.Cmd == memproto.CmdMetaDelete {
				<-hold
			}
			return nodeserver.Verdict{}
		})
		done := make(chan error)
		go func() {
			_, err := a.Delete(context.Background(), key)
			done <- err
		}()
		synctest.Wait()
		lease, err := b.Lease(t.Context(), key, client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "hit", lease.State.String(), "the delete is not confirmed yet")
		close(hold)
		require.NoError(t, <-done)
		require.Equal(t, "won", won(t, b, key).State.String())
		l.closeAll(a, b)
	})
}

// A write-through stores on the other copies first, then on the owner.
func TestRule8TheOwnerIsFilledLast(t *testing.T) {
	l := newLogged(t, 3)
	c := l.client(client.Config{ReplicationFactor: 3})
	for _, key := range keys("put") {
		w, err := c.LeaseWrite(context.Background(), key)
		require.NoError(t, err)
		l.take()
		_, err = c.Fill(context.Background(), w, client.Item{Value: []byte("v")})
		require.NoError(t, err)
		seen := l.take()
		require.Len(t, seen, 3)
		require.Equal(t, l.placed(3, key)[0]+" ms "+key, seen[2])
	}
}

// A refused value takes the old one away from the near-cache, too, and from the copy
// that refused alone if the other one takes it.
func TestRule11ARefusedSetDropsTheNearEntry(t *testing.T) {
	f := newMemFleet(t, 0, nodeserver.Config{})
	for i, limit := range []int64{1 << 20, 4096} {
		f.names = append(f.names, fmt.Sprint("node", i))
		f.config.MaxItemBytes = limit
		f.start(f.names[i])
	}
	cfg := hot()
	cfg.Staleness = time.Hour
	c := f.client(client.Config{ReplicationFactor: 2, HotKeys: cfg})
	h := &herd{t: t, nodes: f.nodes(), dial: f.dial}
	for _, key := range keys("big") {
		set(t, c, key, "old")
		heat(t, c, key)
		big := make([]byte, 8000)
		out, err := c.Set(context.Background(), client.Item{Key: key, Value: big})
		require.NoError(t, err, "one copy is enough")
		require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Refused: 1}, out)
		for i, n := range h.placed(key) {
			require.Equal(t, map[string]string{"node0": string(big), "node1": "-"}[n.Name], h.values(key)[i])
		}
		it, err := c.Get(context.Background(), key)
		if err == nil {
			require.Equal(t, big, it.Value)
		} else {
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
	}
}

// A node crashes as far as this client can see and comes back with its memory: keys
// deleted or written meanwhile are never read with their old values.
func TestRule14ANodeReturnsWithItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2, Timeout: 500 * time.Millisecond, RejoinDelay: soon})
		const n = 200
		var all []string
		for i := range n {
			all = append(all, fmt.Sprint("k", i))
			set(t, c, all[i], "old")
		}
		f.network.Kill("node0")
		_, err := c.DeleteMulti(context.Background(), all[:n/2])
		require.NoError(t, err)
		for _, key := range all[n/2:] {
			set(t, c, key, "new")
		}
		f.network.Revive("node0")
		up := func() bool { return stateOf(c, "node0") == "up" && c.Nodes()[0].Debt == 0 }
		for last := false; ; {
			found, err := c.GetMulti(context.Background(), all)
			require.NoError(t, err)
			for _, it := range found {
				require.Equal(t, "new", string(it.Value))
			}
			for _, key := range all {
				if it, err := c.Get(context.Background(), key); !errors.Is(err, client.ErrCacheMiss) {
					require.NoError(t, err)
					require.Equal(t, "new", string(it.Value))
				}
			}
			if last {
				break
			}
			last = up()
			time.Sleep(time.Millisecond)
		}
		h := &herd{t: t, nodes: f.nodes(), dial: f.dial}
		for _, key := range all {
			h.holdNo(key, "old")
		}
		closeFleet(t, f, c)
	})
}

// A read is under way while this client writes the key: what it brings is not held.
func TestAReadInFlightDoesNotReviveAnOldValue(t *testing.T) {
	for name, write := range writesOfK {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// A reply that is held back: the node has read the value already.
				l := newLogged(t, 1)
				var hold atomic.Pointer[chan struct{}]
				var blocked atomic.Bool
				cfg := hot()
				cfg.Staleness = time.Hour
				c, err := client.New(client.Config{Nodes: l.nodes(), HotKeys: cfg, Timeout: time.Hour, ConnsPerNode: 1,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := l.dial(ctx, network, addr)
						return &heldConn{nc, &hold, &blocked}, err
					}})
				require.NoError(t, err)
				set(t, c, "k", "old")
				heat(t, c, "k")
				set(t, c, "k", "old") // out of memory again, and still hot
				gate := make(chan struct{})
				hold.Store(&gate)
				read := make(chan struct{})
				go func() {
					defer close(read)
					_, _ = c.Get(context.Background(), "k")
				}()
				synctest.Wait()
				require.True(t, blocked.Load(), "the old value is on its way")
				wrote := make(chan error)
				go func() { wrote <- write(c) }()
				synctest.Wait()
				hold.Store(nil)
				close(gate)
				<-read
				require.NoError(t, <-wrote)
				for range 3 {
					it, err := c.Get(context.Background(), "k")
					if err == nil {
						require.NotEqual(t, "old", string(it.Value))
					}
				}
				l.closeAll(c)
			})
		})
	}
}

// heldConn keeps back what was read while there is a gate.
type heldConn struct {
	net.Conn
	gate    *atomic.Pointer[chan struct{}]
	blocked *atomic.Bool
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if g := c.gate.Load(); g != nil {
		c.blocked.Store(true)
		<-*g
	}
	return n, err
}

// Every exported method that takes a key or a context stands in the tables of bad input.
func TestTheTableOfCallsIsComplete(t *testing.T) {
	c := noDial(t)
	have := calls(c, context.Background(), "k")
	maps.Copy(have, others(c, context.Background()))
	var missing []string
	for _, name := range methods(c) {
		_, ok := have[name]
		if !ok && !slices.Contains([]string{
			"CheckKey", "Close", "Counters", "HoldsNear", "HotKeys", "NearStats", "HotKeyStats", "Nodes", "ReadNear", "Readmit", "Ring", "SetNodes",
		}, name) {
			missing = append(missing, name)
		}
	}
	require.Empty(t, missing)
}

func methods(v any) (names []string) {
	for m := range reflect.TypeOf(v).Methods() {
		names = append(names, m.Name)
	}
	return names
}
