package client_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// One of three nodes takes 20 ms for everything. Two seconds later nobody waits for it any
// more but one read in 64, no key is missed, what only it has is still found, and when it
// is well again its keys are read from it.
func TestReadsGoAroundASlowNode(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, c *client.Client, key string){
		"Get": func(t *testing.T, c *client.Client, key string) {
			require.Equal(t, key, get(t, c, key))
		},
		"GetMulti": func(t *testing.T, c *client.Client, key string) {
			found, err := c.GetMulti(t.Context(), []string{key})
			require.NoError(t, err)
			require.Equal(t, key, string(found[key].Value))
		},
		"Lease": func(t *testing.T, c *client.Client, key string) {
			l, err := c.Lease(t.Context(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "hit", l.State.String())
			require.Equal(t, key, string(l.Item.Value))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 0, nodeserver.Config{})
				var slow atomic.Bool
				for i := range 3 {
					f.names = append(f.names, fmt.Sprint("node", i))
					f.config.Intercept = func(net.Addr, *memproto.Request) nodeserver.Verdict {
						if i == 0 && slow.Load() {
							return nodeserver.Verdict{Delay: 20 * time.Millisecond}
						}
						return nodeserver.Verdict{Delay: 500 * time.Microsecond}
					}
					f.start(f.names[i])
				}
				var told atomic.Int64
				c := f.client(client.Config{ReplicationFactor: 2, Hooks: client.Hooks{NodeSlow: func(node string, took, others time.Duration) {
					require.Equal(t, "node0", node)
					require.GreaterOrEqual(t, took, 20*time.Millisecond)
					require.Less(t, others, time.Millisecond)
					told.Add(1)
				}}})
				var keys []string
				for i := range 300 {
					keys = append(keys, fmt.Sprint("k", i))
					set(t, c, keys[i], keys[i])
				}
				waited := func(d time.Duration) (slowReads, reads int) {
					for began := time.Now(); time.Since(began) < d; {
						at := time.Now()
						read(t, c, keys[reads%len(keys)])
						if time.Since(at) > 10*time.Millisecond {
							slowReads++
						}
						reads++
					}
					return slowReads, reads
				}
				n, _ := waited(2 * time.Second)
				require.Zero(t, n)
				slow.Store(true)
				waited(2 * time.Second)
				require.True(t, c.Nodes()[0].Slow)
				require.EqualValues(t, 1, told.Load())
				n, reads := waited(5 * time.Second)
				require.Less(t, n, reads/50, "of %d", reads)
				require.NotZero(t, n, "how else would it be found well again?")
				require.NotZero(t, c.Counters().Steered)
				require.Zero(t, c.Counters().Misses)

				// A counter is on its owner alone, wherever that is.
				for i := range 20 {
					key := fmt.Sprint("n", i)
					_, err := c.Count(t.Context(), client.Counter{Key: key, Create: true, Initial: 7})
					require.NoError(t, err)
					require.Equal(t, "7", get(t, c, key))
				}
				slow.Store(false)
				waited(3 * time.Second)
				require.False(t, c.Nodes()[0].Slow)
				steered := c.Counters().Steered
				waited(time.Second)
				require.Equal(t, steered, c.Counters().Steered)
				closeFleet(t, f, c)
			})
		})
	}
}

// Reads go to the copy in the reader's zone, wherever the owner is; what that does not have
// the owner is asked for, and if it is down the owner is read.
func TestReadsPreferTheirZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		nodes := f.nodes()
		for i := range nodes {
			nodes[i].Zone = []string{"east", "west"}[i%2]
		}
		c := f.client(client.Config{Nodes: nodes, ReplicationFactor: 2, ReadZone: "west"})
		ops := func() map[string]uint64 {
			out := map[string]uint64{}
			for _, s := range c.Nodes() {
				out[s.Node.Zone] += s.Ops
			}
			return out
		}
		var keys []string
		for i := range 200 {
			keys = append(keys, fmt.Sprint("k", i))
			set(t, c, keys[i], keys[i])
		}
		before := ops()
		for _, key := range keys {
			require.Equal(t, key, get(t, c, key))
			l, err := c.Lease(t.Context(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "hit", l.State.String())
		}
		found, err := c.GetMulti(t.Context(), keys)
		require.NoError(t, err)
		require.Len(t, found, len(keys))
		after := ops()
		require.Equal(t, before["east"], after["east"], "nothing is asked of the other zone")
		require.EqualValues(t, 3*len(keys), after["west"]-before["west"])

		for i := range 20 { // counters are on their owners
			key := fmt.Sprint("n", i)
			_, err := c.Count(t.Context(), client.Counter{Key: key, Create: true, Initial: 7})
			require.NoError(t, err)
			require.Equal(t, "7", get(t, c, key))
		}
		f.network.Partition("node1", true)
		for _, key := range keys {
			require.Equal(t, key, get(t, c, key))
		}
		f.network.Partition("node1", false)
		closeFleet(t, f, c)
	})
	_, err := client.New(client.Config{Nodes: []ring.Node{{Name: "a:1", Zone: "east"}}, ReadZone: "west"})
	require.ErrorIs(t, err, client.ErrConfig)
	require.ErrorContains(t, err, "west")
}

// Zones are those of the list in force: nodes may be given others.
func TestReadsFollowTheirZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		zoned := func(zones ...string) []ring.Node {
			nodes := f.nodes()
			for i := range nodes {
				nodes[i].Zone = zones[i]
			}
			return nodes
		}
		c := f.client(client.Config{Nodes: zoned("east", "west"), ReplicationFactor: 2, ReadZone: "west"})
		reads := func() map[string]uint64 {
			for _, key := range keys("k") {
				set(t, c, key, "v")
			}
			out := map[string]uint64{}
			for _, s := range c.Nodes() {
				out[s.Node.Zone] -= s.Ops
			}
			for _, key := range keys("k") {
				require.Equal(t, "v", get(t, c, key))
			}
			for _, s := range c.Nodes() {
				out[s.Node.Zone] += s.Ops
			}
			return out
		}
		require.Equal(t, map[string]uint64{"east": 0, "west": uint64(len(keys("k")))}, reads())
		require.NoError(t, c.SetNodes(zoned("west", "east")))
		time.Sleep(client.DefaultAnnounce + client.DefaultMigration + 3*client.DefaultAnnounce)
		require.Equal(t, map[string]uint64{"east": 0, "west": uint64(len(keys("k")))}, reads())
		closeFleet(t, f, c)
	})
}

// With FailoverRMW the next copy stands in for an owner that is down; without it nobody does.
func TestFailoverRMW(t *testing.T) {
	for _, failover := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(t, 2)
			c := l.client(client.Config{ReplicationFactor: 2, FailoverRMW: failover, Timeout: 100 * time.Millisecond, RejoinDelay: client.NoRejoinDelay})
			owner := l.placed(2, "n")[0]
			count := func() (uint64, error) {
				return c.Count(t.Context(), client.Counter{Key: "n", Create: true, Initial: 1, Delta: 1})
			}
			n, err := count()
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
			l.network.Partition(owner, true)
			_, _ = c.Get(t.Context(), "n") // finds out
			n, err = count()
			if !failover {
				require.ErrorIs(t, err, client.ErrOwnerDown)
				require.True(t, client.SafeToRetry(err))
			} else {
				require.NoError(t, err)
				require.EqualValues(t, 1, n, "the stand-in starts anew")
				n, err = count()
				require.NoError(t, err)
				require.EqualValues(t, 2, n)
				it, err := c.Gets(t.Context(), "n")
				require.NoError(t, err)
				it.Value = []byte("10")
				_, err = c.CompareAndSwap(t.Context(), it)
				require.NoError(t, err)
			}
			l.network.Partition(owner, false)
			time.Sleep(5 * time.Second)
			_, err = count()
			require.NoError(t, err)
			l.closeAll(c)
		})
	}
}
