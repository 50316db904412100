package client_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// A node holds a value that is over this client's limit: another program has another one, or an Append made it longer.
// Whoever reads it is told so. Nobody else fails, no connection is lost, and the node stays up.
func TestAValueOverTheLimitTakesNoNodeDown(t *testing.T) {
	memnode := func(profile nodeserver.Profile) func(t *testing.T) client.Config {
		return func(t *testing.T) client.Config {
			f := newProfiledFleet(t, profile)
			return client.Config{Nodes: f.nodes(), DialContext: f.dial}
		}
	}
	for name, node := range map[string]func(t *testing.T) client.Config{
		"memnode": memnode(nodeserver.ProfileNewest), "classic memnode": memnode(nodeserver.Profile15),
		"memcached": func(t *testing.T) client.Config { return client.Config{Nodes: ring.Addrs(stock.ForTest(t).Addr())} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := node(t)
			ctx := context.Background()
			var lost atomic.Int64
			cfg.MaxValueBytes = 4 << 10
			cfg.Hooks = client.Hooks{ConnLost: func(_ string, cause error) {
				if !errors.Is(cause, client.ErrClosed) {
					lost.Add(1)
				}
			}}
			c := newClient(t, cfg)
			set(t, c, "small", "v")
			set(t, c, "long", string(make([]byte, 4<<10)))
			for range 2 {
				_, err := c.Append(ctx, client.Item{Key: "long", Value: make([]byte, 4<<10)})
				require.NoError(t, err)
			}
			lease := func() error { _, err := c.Lease(ctx, "long", client.LeaseOptions{}); return err }
			with := func() error { _, _, err := c.GetWith(ctx, "long", client.GetOptions{}); return err }
			leases := func() error {
				_, errs := c.LeaseMulti(ctx, []string{"small", "long"}, client.LeaseOptions{})
				require.NoError(t, errs[0])
				return errs[1]
			}
			for range 10 {
				for op, err := range map[string]error{
					"Get":         second(c.Get(ctx, "long")),
					"GetInto":     second(c.GetInto(ctx, "long", nil)),
					"Gets":        second(c.Gets(ctx, "long")),
					"GetAndTouch": second(c.GetAndTouch(ctx, "long", 0)),
					"GetWith":     with(), "Lease": lease(), "LeaseMulti": leases(),
				} {
					require.ErrorIs(t, err, client.ErrTooLarge, op)
					require.False(t, client.SafeToRetry(err), op)
				}
				found, err := c.GetMulti(ctx, []string{"small", "long", "none"})
				require.ErrorIs(t, err, client.ErrTooLarge)
				require.Len(t, found, 1)
				require.Equal(t, "v", string(found["small"].Value))
			}
			var callers sync.WaitGroup
			for id := range 64 {
				callers.Go(func() {
					for i := range 50 {
						if (id+i)%10 == 0 {
							if _, err := c.Get(ctx, "long"); !errors.Is(err, client.ErrTooLarge) {
								t.Errorf("the long one came to %v", err)
							}
						} else if it, err := c.Get(ctx, "small"); err != nil || string(it.Value) != "v" {
							t.Errorf("a neighbour reads %q, %v", it.Value, err)
						}
					}
				})
			}
			callers.Wait()
			require.Zero(t, lost.Load())
			n := c.Nodes()[0]
			require.Equal(t, "up", n.State)
			require.Zero(t, n.Failures)
			// It can be replaced, and is well then.
			set(t, c, "long", "short")
			require.Equal(t, "short", get(t, c, "long"))
		})
	}
}

func second(_ client.Item, err error) error { return err }
