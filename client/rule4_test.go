package client_test

import (
	"context"
	"fmt"
	"net"
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

// restartable are two nodes that can lose their memory.
type restartable struct {
	nodes   []ring.Node
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	restart func(i int)
}

func onRestartable(t *testing.T, run func(t *testing.T, r *restartable)) {
	t.Run("memnode", func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		run(t, &restartable{f.nodes(), f.dial, func(i int) {
			f.kill(f.names[i])
			f.restart(f.names[i])
		}})
	})
	t.Run("memcached", func(t *testing.T) {
		servers := []*stock.Server{stock.ForTest(t), stock.ForTest(t)}
		run(t, &restartable{ring.Addrs(servers[0].Addr(), servers[1].Addr()), nil, func(i int) {
			require.NoError(t, servers[i].Kill())
			require.NoError(t, servers[i].Restart())
		}})
	})
}

// back waits until a client has found all nodes again.
func back(t *testing.T, c *client.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		if c.Ping(context.Background()) != nil {
			return false
		}
		for _, s := range c.Nodes() {
			if s.State != "up" {
				return false
			}
		}
		return true
	}, time.Minute, time.Millisecond)
}

// A node that was restarted is given its keys back by those who ask for them, from their
// other copies, with what is left of their lives; and gives up nothing that was deleted.
func TestRule4ARestartedNodeGetsItsKeysBack(t *testing.T) {
	onRestartable(t, func(t *testing.T, r *restartable) {
		ctx := context.Background()
		c := newClient(t, client.Config{Nodes: r.nodes, DialContext: r.dial, ReplicationFactor: 2})
		const n = 300
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprint("k", i))
			_, err := c.Set(ctx, client.Item{Key: keys[i], Value: []byte(keys[i] + "'s"), TTL: time.Duration(1000+i) * time.Second, Flags: uint32(i)})
			require.NoError(t, err)
		}
		for i := range 10 {
			_, err := c.Delete(ctx, keys[i])
			require.NoError(t, err)
		}
		r.restart(0)
		back(t, c)
		found, err := c.GetMulti(ctx, keys[:n/2])
		require.NoError(t, err)
		for i, key := range keys {
			it, err := c.Get(ctx, key)
			if i < n/2 {
				_, many := found[key]
				require.Equal(t, i >= 10, many, key)
			}
			if i < 10 {
				require.ErrorIs(t, err, client.ErrCacheMiss)
				continue
			}
			require.NoError(t, err, key)
			require.Equal(t, key+"'s", string(it.Value))
			require.EqualValues(t, i, it.Flags)
		}
		// The restarted node has them itself now, and so has the other what it always had.
		alone := newClient(t, client.Config{Nodes: r.nodes[:1], DialContext: r.dial})
		owned := 0
		for i, key := range keys[10:] {
			it, _, err := alone.GetWith(ctx, key, client.GetOptions{})
			if err != nil {
				require.ErrorIs(t, err, client.ErrCacheMiss)
				continue
			}
			owned++
			require.InDelta(t, 1000+10+i, it.TTL.Seconds(), 60)
		}
		require.Greater(t, owned, n/4, "those it owns")
		require.GreaterOrEqual(t, c.Counters().Restored, uint64(owned-1))
	})
}

// All nodes are restarted one after the other while their keys are read: with two
// copies none is lost, because hits bring keys back to the copies that are not asked. With
// that switched off, they are.
func TestRule4ARollingRestartLosesNothing(t *testing.T) {
	for _, window := range []time.Duration{0, client.NoColdWindow} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				c := f.client(client.Config{ReplicationFactor: 2, ColdWindow: window})
				const n = 200
				for i := range n {
					set(t, c, fmt.Sprint("k", i), "v")
				}
				missed := 0
				read := func() {
					for i := range n {
						if _, err := c.Get(t.Context(), fmt.Sprint("k", i)); err != nil {
							require.ErrorIs(t, err, client.ErrCacheMiss)
							missed++
						}
					}
				}
				for _, name := range f.names {
					f.kill(name)
					read()
					f.restart(name)
					for range 30 {
						time.Sleep(time.Second)
						read()
					}
				}
				if window == 0 {
					require.Zero(t, missed)
					require.NotZero(t, c.Counters().Restored)
				} else {
					require.NotZero(t, missed)
				}
				closeFleet(t, f, c)
			})
		})
	}
}

// A loader finds what the other copy has, and does not load; what no copy has it loads.
func TestRule4ALeaseOnAColdNodeAsksTheOtherCopy(t *testing.T) {
	onRestartable(t, func(t *testing.T, r *restartable) {
		ctx := context.Background()
		c := newClient(t, client.Config{Nodes: r.nodes, DialContext: r.dial, ReplicationFactor: 2})
		for i := range 40 {
			set(t, c, fmt.Sprint("k", i), "v")
		}
		r.restart(0)
		back(t, c)
		for i := range 40 {
			l, err := c.Lease(ctx, fmt.Sprint("k", i), client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "hit", l.State.String())
			require.Equal(t, "v", string(l.Item.Value))
			l, err = c.Lease(ctx, fmt.Sprint("absent", i), client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "won", l.State.String())
			out, err := c.Fill(ctx, l, client.Item{Value: []byte("loaded")})
			require.NoError(t, err)
			require.Equal(t, 2, out.Confirmed)
		}
		k := c.Counters()
		require.EqualValues(t, 40, k.NodeHits)
		require.EqualValues(t, 40, k.Misses)
	})
}

// The schedule that breaks "ask the other copy, then add if absent": the reader has the old
// value from the other copy when the key is deleted everywhere, and stores it after.
func TestRule4ADeleteDuringRestoring(t *testing.T) {
	for _, slow := range []memproto.Cmd{memproto.CmdMetaGet, memproto.CmdMetaSet} {
		for delay := time.Millisecond; delay < 40*time.Millisecond; delay += 3 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				cfg := client.Config{ReplicationFactor: 2}
				a, b := l.client(cfg), l.client(cfg)
				set(t, b, "k", "old")
				require.Equal(t, "old", get(t, a, "k"))
				owner := l.placed(2, "k")[0]
				l.kill(owner)
				l.restart(owner)
				require.Eventually(t, func() bool { return a.Ping(t.Context()) == nil && b.Ping(t.Context()) == nil }, time.Minute, time.Millisecond)
				l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == slow && string(r.Key) == "k" {
						return nodeserver.Verdict{Delay: 20 * time.Millisecond}
					}
					return nodeserver.Verdict{}
				})
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = a.Get(t.Context(), "k")
				}()
				time.Sleep(delay)
				_, err := b.Delete(t.Context(), "k")
				require.NoError(t, err)
				<-done
				time.Sleep(5 * time.Second)
				for _, c := range []*client.Client{a, b} {
					_, err = c.Get(t.Context(), "k")
					require.ErrorIs(t, err, client.ErrCacheMiss)
				}
				l.closeAll(a, b)
			})
		}
	}
}

// coldCopy is a fleet of two nodes, two clients of it, and a key with the value "old" on its owner. Its other copy, node1, has
// restarted, and both clients read there again.
func coldCopy(t *testing.T) (l *logged, reader, writer *client.Client, key string) {
	l = newLogged(t, 2)
	cfg := client.Config{ReplicationFactor: 2, Timeout: 2 * time.Second}
	reader, writer = l.client(cfg), l.client(cfg)
	for _, k := range keys("k") {
		if l.placed(2, k)[1] == "node1" {
			key = k
		}
	}
	set(t, writer, key, "old")
	require.NoError(t, reader.Ping(t.Context()))
	l.kill("node1")
	l.restart("node1")
	require.Eventually(t, func() bool { return reader.Ping(t.Context()) == nil && writer.Ping(t.Context()) == nil }, time.Minute, time.Millisecond)
	time.Sleep(5 * time.Second)
	return l, reader, writer, key
}

// The schedule that breaks filling a copy that is not the owner right after its token: a delete
// has passed that copy and is on its way to the owner. The filler takes its token, reads the owner, and
// stores what the delete then removes from the owner alone.
func TestRule4ADeleteThatHasPassedTheCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reader, writer, key := coldCopy(t)
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaDelete && node == owner {
				return nodeserver.Verdict{Delay: 600 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			out, err := writer.Delete(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, 2, out.Confirmed)
		}()
		time.Sleep(100 * time.Millisecond) // the other copy has heard of it
		require.Equal(t, "old", get(t, reader, key), "not acknowledged yet")
		<-done
		time.Sleep(3 * time.Second)
		only := l.client(client.Config{Nodes: []ring.Node{{Name: other, Addr: other + ":1"}}})
		_, err := only.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		l.closeAll(reader, writer, only)
	})
}

// The schedule that breaks filling a cold copy without its token: the value has been read from the owner again, and is on
// its way, when a delete overtakes it.
func TestRule4ADeleteDuringReviving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reader, writer, key := coldCopy(t)
		arrived := make(chan struct{}, 10)
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet && string(r.Key) == key {
				arrived <- struct{}{}
				return nodeserver.Verdict{Delay: 300 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		require.Equal(t, "old", get(t, reader, key))
		<-arrived
		out, err := writer.Delete(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, 2, out.Confirmed)
		time.Sleep(3 * time.Second)
		only := l.client(client.Config{Nodes: []ring.Node{{Name: "node1", Addr: "node1:1"}}})
		_, err = only.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		l.closeAll(reader, writer, only)
	})
}
