package client_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// lateNode is a fleet of three of which one node's replies to reads are late while late is set.
type lateNode struct {
	*memFleet
	ring  *ring.Ring
	name  string
	late  atomic.Int64 // nanoseconds
	reads atomic.Int64 // commands that all nodes saw
}

func newLateNode(t *testing.T) *lateNode {
	l := &lateNode{name: "node0", memFleet: newMemFleet(t, 0, nodeserver.Config{})}
	var nodes []ring.Node
	for i := range 3 {
		name := fmt.Sprint("node", i)
		nodes = append(nodes, ring.Node{Name: name, Addr: name + ":1"})
		l.names = append(l.names, name)
		l.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd != memproto.CmdMetaGet && r.Cmd != memproto.CmdGet && r.Cmd != memproto.CmdGets || ofEpoch(r) {
				return nodeserver.Verdict{}
			}
			l.reads.Add(1)
			if name == l.name {
				return nodeserver.Verdict{Delay: time.Duration(l.late.Load())}
			}
			return nodeserver.Verdict{}
		}
		l.start(name)
	}
	l.ring = ringOf(t, ring.Config{Nodes: nodes, Copies: 2})
	return l
}

// keys are n keys, and those of them that the late node owns.
func (l *lateNode) keys(n int) (all, owned []string) {
	for i := range n {
		key := fmt.Sprint("k", i)
		all = append(all, key)
		if l.ring.Owner(key).Name == l.name {
			owned = append(owned, key)
		}
	}
	return all, owned
}

// A node whose replies are late holds up no GetMulti: its keys come from their other copies.
func TestHedgedGetMulti(t *testing.T) {
	for name, hedge := range map[string]bool{"hedged": true, "not hedged": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLateNode(t)
				cfg := client.Config{ReplicationFactor: 2, Timeout: time.Second}
				if hedge {
					cfg.HedgeAfter = 2 * time.Millisecond
				}
				x := l.client(cfg)
				keys, owned := l.keys(60)
				require.NotEmpty(t, owned)
				for _, key := range keys[:50] {
					set(t, x, key, "of "+key)
				}
				late := 0 // of the late node's keys, those that have a value
				for _, key := range owned {
					if v, err := x.Get(t.Context(), key); err == nil {
						require.Equal(t, "of "+key, string(v.Value))
						late++
					}
				}
				l.late.Store(int64(50 * time.Millisecond))
				began, before := time.Now(), l.reads.Load()
				found, err := x.GetMulti(t.Context(), keys[:50])
				took := time.Since(began)
				require.NoError(t, err)
				require.Len(t, found, 50)
				for key, it := range found {
					require.Equal(t, "of "+key, string(it.Value))
				}
				if counted := x.Counters(); hedge {
					require.Less(t, took, 5*time.Millisecond)
					require.EqualValues(t, late, counted.Hedged)
					require.EqualValues(t, late, counted.HedgesWon)
				} else {
					require.GreaterOrEqual(t, took, 50*time.Millisecond)
					require.Zero(t, counted.Hedged)
					require.LessOrEqual(t, l.reads.Load()-before, int64(50), "no key twice")
				}
				// What other copies do not have is a miss only when the owner has said so.
				time.Sleep(time.Second)
				began = time.Now()
				found, err = x.GetMulti(t.Context(), keys)
				require.NoError(t, err)
				require.Len(t, found, 50)
				if late < len(owned) {
					require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
				}
				// Tokens are the owner's alone.
				hedged := x.Counters().Hedged
				found, err = x.GetsMulti(t.Context(), keys[:50])
				require.NoError(t, err)
				require.Len(t, found, 50)
				require.Equal(t, hedged, x.Counters().Hedged)
				closeFleet(t, l.memFleet, x)
			})
		})
	}
}

// A GetMulti whose caller leaves while both copies are asked returns at once, and says of no key that it is
// missing.
func TestHedgedGetMultiIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLateNode(t)
		x := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second})
		keys, owned := l.keys(50)
		for _, key := range keys {
			if l.ring.Owner(key).Name != l.name {
				set(t, x, key, "v")
			}
		}
		l.late.Store(int64(500 * time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		found, err := x.GetMulti(ctx, keys)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*time.Millisecond, time.Since(began))
		require.Len(t, found, len(keys)-len(owned))
		require.EqualValues(t, len(owned), x.Counters().Hedged)
		require.Zero(t, x.Counters().HedgesWon)
		closeFleet(t, l.memFleet, x)
	})
}

// A late node that dies while its keys are asked elsewhere is a failure like any other: the
// other copies have the word.
func TestHedgedGetMultiFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLateNode(t)
		x := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: 100 * time.Millisecond})
		keys, owned := l.keys(50)
		for _, key := range keys {
			if l.ring.Owner(key).Name != l.name {
				set(t, x, key, "v")
			}
		}
		l.late.Store(int64(time.Hour))
		began := time.Now()
		found, err := x.GetMulti(t.Context(), keys)
		require.NoError(t, err, "the other copies say that the keys are missing")
		require.GreaterOrEqual(t, time.Since(began), 100*time.Millisecond)
		require.Len(t, found, len(keys)-len(owned))
		require.EqualValues(t, len(owned), x.Counters().Failovers, "each is asked elsewhere for having failed")
		closeFleet(t, l.memFleet, x)
	})
}

// No more keys are asked twice than the budget allows, and a win that comes too late is given back.
func TestHedgedGetMultiIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLateNode(t)
		x := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: time.Millisecond, Timeout: time.Second})
		keys, owned := l.keys(40)
		for _, key := range keys {
			set(t, x, key, "v")
		}
		l.late.Store(int64(20 * time.Millisecond))
		const n = 400
		for range n {
			found, err := x.GetMulti(t.Context(), keys)
			require.NoError(t, err)
			require.Len(t, found, len(keys))
		}
		require.EqualValues(t, n*len(keys), x.Counters().NodeHits)
		require.LessOrEqual(t, x.Counters().Hedged, uint64(n*len(keys)/20+64))
		// Now and then reads go around the slow node by themselves: those need no hedge.
		require.Greater(t, x.Counters().Hedged+x.Counters().Steered, uint64(n*len(keys)/20-len(keys)))
		require.Less(t, x.Counters().Hedged, uint64(n*len(owned)))
		closeFleet(t, l.memFleet, x)
	})
}

// Another program marks a value stale on the late node: the win that its reply brings after the other copy has
// answered is given back.
func TestHedgedGetMultiKeepsNoWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLateNode(t)
		x := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second})
		_, owned := l.keys(20)
		for _, key := range owned {
			set(t, x, key, "v")
		}
		for _, key := range owned {
			l.markStale(l.name, key)
		}
		l.late.Store(int64(50 * time.Millisecond))
		found, err := x.GetMulti(t.Context(), owned)
		require.NoError(t, err)
		require.Len(t, found, len(owned))
		for _, it := range found {
			require.Equal(t, "v", string(it.Value))
		}
		l.late.Store(0)
		time.Sleep(time.Second)
		synctest.Wait()
		require.NotZero(t, x.Counters().HedgesWon)
		for _, key := range owned {
			lease, err := x.Lease(t.Context(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.True(t, lease.Stale)
			require.Equal(t, item.LeaseWon, lease.State, "the win was given back")
			require.NoError(t, x.Release(t.Context(), lease))
		}
		closeFleet(t, l.memFleet, x)
	})
}

// Where one read in so many is counted, it is of every key, whether its GetMulti had patience for the answer or not.
func TestGetMultiIsSampledFairly(t *testing.T) {
	for name, after := range map[string]time.Duration{"in time": 0, "late": time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLateNode(t)
				x := l.client(client.Config{HedgeAfter: after, Timeout: time.Second})
				_, owned := l.keys(60)
				for _, key := range owned {
					set(t, x, key, "v")
				}
				l.late.Store(int64(5 * time.Microsecond))
				read := func(times int) {
					for range times {
						found, err := x.GetMulti(t.Context(), owned)
						require.NoError(t, err)
						require.Len(t, found, len(owned))
					}
				}
				for x.HotKeyStats().SampleOneIn < 16 {
					read(1)
				}
				before := map[string]uint64{}
				for _, hot := range x.HotKeys(len(owned)) {
					before[hot.Key] = hot.Count
				}
				const times = 5000
				read(times)
				for _, hot := range x.HotKeys(len(owned)) {
					require.Greater(t, hot.Count-before[hot.Key], uint64(times/64), hot.Key)
					require.Less(t, hot.Count-before[hot.Key], uint64(times/8), hot.Key)
				}
				closeFleet(t, l.memFleet, x)
			})
		})
	}
}
