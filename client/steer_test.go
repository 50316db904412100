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
						return nodeserver.Verdict{Delay: 100 * time.Microsecond}
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
