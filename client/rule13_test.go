package client_test

import (
	"context"
	"fmt"
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

// A set lies in the buffers of a connection that has died, and runs long after the delete
// it became was paid on another, and after that was paid a second time, too. The key is
// not read before the node has done with the dead connection, and then the set is undone.
func TestRule13ALateWriteIsUndone(t *testing.T) {
	for _, late := range []time.Duration{300 * time.Millisecond, 900 * time.Millisecond, 4 * time.Second, 8 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2, Timeout: 200 * time.Millisecond, RejoinDelay: client.NoRejoinDelay})
				owner := l.placed(2, "k")[0]
				set(t, c, "k", "old")
				var slow atomic.Bool
				slow.Store(true)
				l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == memproto.CmdMetaSet && node == owner && slow.Swap(false) {
						return nodeserver.Verdict{Delay: late}
					}
					return nodeserver.Verdict{}
				})
				began := time.Now()
				_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("zombie")})
				require.NoError(t, err, "the other copy has it")
				_, err = c.Delete(t.Context(), "k")
				require.NoError(t, err)
				for time.Since(began) < late+time.Second {
					_, err = c.Get(t.Context(), "k")
					require.ErrorIs(t, err, client.ErrCacheMiss, "after %v", time.Since(began))
					time.Sleep(10 * time.Millisecond)
				}
				require.Zero(t, c.Nodes()[0].Debt+c.Nodes()[1].Debt)
				alone := l.client(client.Config{Nodes: []ring.Node{{Name: owner, Addr: owner + ":1"}}})
				_, err = alone.Get(t.Context(), "k")
				require.ErrorIs(t, err, client.ErrCacheMiss)
				l.closeAll(c, alone)
			})
		})
	}
}

// A stopped process has 3,000 requests in its buffers, and goes on after they were all given
// up and owed: none of the values comes back.
func TestRule13AStoppedNodeUndoesNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	servers := []*stock.Server{stock.ForTest(t), stock.ForTest(t)}
	for round := range scaled(t, 10) {
		ctx := context.Background()
		c := newClient(t, client.Config{
			Nodes: ring.Addrs(servers[0].Addr(), servers[1].Addr()), ReplicationFactor: 2, Timeout: 500 * time.Millisecond,
			RejoinDelay: client.NoRejoinDelay, MaxInFlight: 4000,
		})
		const n = 3000
		items, keys := make([]client.Item, n), make([]string, n)
		for i := range items {
			keys[i] = fmt.Sprintf("zombie:%d:%d", round, i)
			items[i] = client.Item{Key: keys[i], Value: []byte("old")}
		}
		_, err := c.SetMulti(ctx, items)
		require.NoError(t, err)
		require.NoError(t, servers[0].Pause())
		for i := range items {
			items[i].Value = []byte("zombie")
		}
		_, err = c.SetMulti(ctx, items)
		require.NoError(t, err, "the other copy has them")
		_, err = c.DeleteMulti(ctx, keys)
		require.NoError(t, err)
		require.NoError(t, servers[0].Resume())
		require.Eventually(t, func() bool {
			s := c.Nodes()
			return s[0].State == "up" && s[1].State == "up" && s[0].Debt+s[1].Debt == 0
		}, time.Minute, time.Millisecond)
		found, err := c.GetMulti(ctx, keys)
		require.NoError(t, err)
		require.Empty(t, found, "round %d", round)
		for _, s := range servers {
			alone := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr())})
			found, err = alone.GetMulti(ctx, keys)
			require.NoError(t, err)
			require.Empty(t, found, "round %d", round)
		}
	}
}

// Where a node does not show its connections as we see them, debt is paid twice.
func TestRule13WithoutAFenceDebtIsPaidTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		l.config.Intercept = nil
		c := l.client(client.Config{Timeout: 200 * time.Millisecond, RejoinDelay: client.NoRejoinDelay})
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			switch {
			case r.Cmd == memproto.CmdMetaSet:
				return nodeserver.Verdict{DropAfter: true}
			case r.Cmd == memproto.CmdStats:
				return nodeserver.Verdict{Reply: []byte("STAT 7:addr tcp:10.0.0.1:4711\r\nEND\r\n")}
			}
			return nodeserver.Verdict{}
		})
		_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("v")})
		require.ErrorIs(t, err, client.ErrConnLost)
		l.take()
		time.Sleep(300 * time.Millisecond)
		_, err = c.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.Equal(t, 1, c.Nodes()[0].Debt, "until it has been paid again")
		time.Sleep(2 * time.Second)
		deletes := 0
		for _, s := range l.take() {
			if s == "node0 md k" {
				deletes++
			}
		}
		require.Equal(t, 2, deletes)
		require.Zero(t, c.Nodes()[0].Debt)
		l.closeAll(c)
	})
}
