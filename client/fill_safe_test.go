package client_test

import (
	"context"
	"fmt"
	"net"
	"strings"
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

// keyOn is a key whose copies are on these two nodes, in this order.
func keyOn(r *ring.Ring, owner, second string) string {
	for i := 0; ; i++ {
		key := fmt.Sprint("key", i)
		if at := r.Lookup(key); r.Node(at[0]).Name == owner && r.Node(at[1]).Name == second {
			return key
		}
	}
}

// A fill that its home copy was not sent is safe to retry only if no other copy has seen it. A large value
// goes out on a connection of its own, and here that to the home copy is not there yet, while the other copy's is:
// it takes until the caller has left, or is refused.
func TestAFillOfOneCopyIsNotSafeToRetry(t *testing.T) {
	for name, refused := range map[string]bool{"the caller leaves": false, "the node is lost": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fills atomic.Int64
				f := newMemFleet(t, 3, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == memproto.CmdMetaSet && strings.HasPrefix(string(r.Value), "filled") {
						fills.Add(1)
					}
					return nodeserver.Verdict{}
				}})
				r := ringOf(t, ring.Config{Nodes: f.nodes(), Copies: 2})
				key, other := keyOn(r, "node0", "node1"), keyOn(r, "node1", "node2")
				var shut atomic.Bool
				c := newClient(t, client.Config{Nodes: f.nodes(), ReplicationFactor: 2, Timeout: time.Second, DialTimeout: time.Second,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						if shut.Load() && strings.HasPrefix(addr, "node0") {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						return f.dial(ctx, network, addr)
					}})
				large := strings.Repeat("v", 40<<10)
				set(t, c, other, large) // on the first connection
				set(t, c, other, large) // on one of its own
				l, err := c.Lease(t.Context(), key, client.LeaseOptions{})
				require.NoError(t, err)
				require.Equal(t, item.LeaseWon, l.State)
				shut.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if refused {
					f.network.Kill("node0")
					ctx = t.Context()
				}
				_, err = c.Fill(ctx, l, client.Item{Value: []byte("filled" + large)})
				require.Error(t, err)
				synctest.Wait() // what was sent is seen
				require.Equal(t, fills.Load() == 0, client.SafeToRetry(err), "%v; %d copies have seen it", err, fills.Load())
				if refused {
					require.NotZero(t, fills.Load(), "who asks the other copy while this one is away finds it")
				} else {
					require.Zero(t, fills.Load())
					shut.Store(false)
					time.Sleep(time.Second)
					l, err = c.Lease(t.Context(), key, client.LeaseOptions{})
					require.NoError(t, err)
					require.Equal(t, item.LeaseWon, l.State, "the lease was given back")
					require.NoError(t, c.Release(t.Context(), l))
				}
				f.network.Revive("node0")
				shut.Store(false)
				closeFleet(t, f, c)
			})
		})
	}
}
