package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// Who leaves while another copy is asked for what a cold owner lacks is not told that there is nothing.
func TestRule1WhoLeavesIsNotToldOfAMiss(t *testing.T) {
	for name, read := range map[string]func(ctx context.Context, c *client.Client) error{
		"Get": func(ctx context.Context, c *client.Client) error { _, err := c.Get(ctx, "k"); return err },
		"GetMulti": func(ctx context.Context, c *client.Client) error {
			_, err := c.GetMulti(ctx, []string{"k"})
			return err
		},
		"Gets":      func(ctx context.Context, c *client.Client) error { _, err := c.Gets(ctx, "k"); return err },
		"GetsOrGet": func(ctx context.Context, c *client.Client) error { _, err := c.GetsOrGet(ctx, "k"); return err },
		"GetsMulti": func(ctx context.Context, c *client.Client) error {
			_, err := c.GetsMulti(ctx, []string{"k"})
			return err
		},
		"GetWith": func(ctx context.Context, c *client.Client) error {
			_, _, err := c.GetWith(ctx, "k", client.GetOptions{})
			return err
		},
		"GetAndTouch": func(ctx context.Context, c *client.Client) error {
			_, err := c.GetAndTouch(ctx, "k", time.Minute)
			return err
		},
		"Inspect": func(ctx context.Context, c *client.Client) error { _, err := c.Inspect(ctx, "k"); return err },
		"Lease": func(ctx context.Context, c *client.Client) error {
			_, err := c.Lease(ctx, "k", client.LeaseOptions{})
			return err
		},
		"LeaseMulti": func(ctx context.Context, c *client.Client) error {
			_, errs := c.LeaseMulti(ctx, []string{"k"}, client.LeaseOptions{})
			return errs[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
				defer l.closeAll(c)
				set(t, c, "k", "v")
				owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
				l.renew(t, c, owner)
				l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
					if node == other {
						v.Delay = 200 * time.Millisecond
					}
					return v
				})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				require.ErrorIs(t, read(ctx, c), context.DeadlineExceeded)
				time.Sleep(time.Second)
				require.NoError(t, read(t.Context(), c))
				require.Equal(t, "v", get(t, c, "k"))
			})
		})
	}
}
