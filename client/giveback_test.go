package client_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// A lease is given back while the node has no connection and the next takes its time: nobody waits for that, neither Release nor a
// fill whose context has ended, and the next caller wins once the node is there again.
func TestGivingBackDoesNotWaitForADial(t *testing.T) {
	ends := map[string]func(c *client.Client, l client.Lease) error{
		"release": func(c *client.Client, l client.Lease) error { return c.Release(context.Background(), l) },
		"fill": func(c *client.Client, l client.Lease) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err := c.Fill(ctx, l, client.Item{Value: []byte("v")})
			if client.SafeToRetry(err) {
				return nil
			}
			return err
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const dialTakes = 10 * time.Second
				f := newMemFleet(t, 1, nodeserver.Config{})
				var slow atomic.Bool
				var first atomic.Pointer[net.Conn]
				c, err := client.New(client.Config{
					Nodes: f.nodes(), DialTimeout: time.Minute, ConnsPerNode: 1, LeaseTTL: time.Minute,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						if slow.Load() {
							time.Sleep(dialTakes)
						}
						conn, err := f.dial(ctx, network, addr)
						first.CompareAndSwap(nil, &conn)
						return conn, err
					},
				})
				require.NoError(t, err)
				lease := won(t, c, "k")
				slow.Store(true)
				require.NoError(t, (*first.Load()).Close())
				_, err = c.Get(patience(t), "other") // finds out
				require.Error(t, err)
				began := time.Now()
				require.NoError(t, end(c, lease))
				require.Zero(t, time.Since(began))
				time.Sleep(dialTakes + time.Millisecond)
				synctest.Wait()
				other := f.client(client.Config{LeaseTTL: time.Minute})
				won(t, other, "k")
				require.NoError(t, c.Close())
				require.NoError(t, other.Close())
			})
		})
	}
}
