package client_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// Whoever asks a node that is known to be down is told why it is, as the first was; but not that a deadline of his own has passed.
func TestErrorsOfANodeThatIsDownSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		dial func(ctx context.Context) error
		why  string
	}{
		"refused":     {func(context.Context) error { return &net.OpError{Op: "dial", Net: "tcp", Err: assert.AnError} }, assert.AnError.Error()},
		"no answer":   {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "deadline exceeded"},
		"hung before": {nil, "timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 1, nodeserver.Config{})
				x, err := client.New(client.Config{
					Nodes: ring.Addrs("node0:1"), Timeout: 100 * time.Millisecond, DialTimeout: 50 * time.Millisecond,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						if c.dial != nil {
							return nil, c.dial(ctx)
						}
						return f.dial(ctx, network, addr)
					},
				})
				require.NoError(t, err)
				ctx := context.Background()
				if c.dial == nil {
					set(t, x, "k", "v")
					f.network.Partition("node0", true)
				}
				_, err = x.Get(ctx, "k")
				require.Error(t, err)
				v := client.Item{Key: "k", Value: []byte("v")}
				for op, call := range map[string]func() error{
					"Get":         func() error { _, err := x.Get(ctx, "k"); return err },
					"GetMulti":    func() error { _, err := x.GetMulti(ctx, []string{"k", "l"}); return err },
					"Set":         func() error { _, err := x.Set(ctx, v); return err },
					"SetMulti":    func() error { _, err := x.SetMulti(ctx, []client.Item{v}); return err },
					"Delete":      func() error { _, err := x.Delete(ctx, "k"); return err },
					"DeleteMulti": func() error { _, err := x.DeleteMulti(ctx, []string{"k"}); return err },
					"Ping":        func() error { return x.Ping(ctx) },
				} {
					err := call()
					assert.ErrorIs(t, err, client.ErrNodeDown, op)
					assert.ErrorContains(t, err, c.why, op)
					assert.NotErrorIs(t, err, context.DeadlineExceeded, op)
				}
				require.NoError(t, x.Close())
				f.network.Partition("node0", false)
			})
		})
	}
}
