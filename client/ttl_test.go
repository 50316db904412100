package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// lives are the ways to give the item at "k" a life.
func lives() map[string]func(c *client.Client, ttl time.Duration) error {
	return map[string]func(c *client.Client, ttl time.Duration) error{
		"Set": func(c *client.Client, ttl time.Duration) error {
			_, err := c.Set(context.Background(), client.Item{Key: "k", Value: []byte("1"), TTL: ttl})
			return err
		},
		"Set until": func(c *client.Client, ttl time.Duration) error {
			_, err := c.Set(context.Background(), client.Item{Key: "k", Value: []byte("1"), TTL: client.Until(time.Now().Add(ttl))})
			return err
		},
		"SetMulti": func(c *client.Client, ttl time.Duration) error {
			_, err := c.SetMulti(context.Background(), []client.Item{{Key: "k", Value: []byte("1"), TTL: ttl}})
			return err
		},
		"Replace": func(c *client.Client, ttl time.Duration) error {
			_, err := c.Replace(context.Background(), client.Item{Key: "k", Value: []byte("1"), TTL: ttl})
			return err
		},
		"Touch": func(c *client.Client, ttl time.Duration) error { return c.Touch(context.Background(), "k", ttl) },
		"Until": func(c *client.Client, ttl time.Duration) error {
			return c.Touch(context.Background(), "k", client.Until(time.Now().Add(ttl)))
		},
		"GetAndTouch": func(c *client.Client, ttl time.Duration) error {
			_, err := c.GetAndTouch(context.Background(), "k", ttl)
			return err
		},
		"GetWith": func(c *client.Client, ttl time.Duration) error {
			_, _, err := c.GetWith(context.Background(), "k", client.GetOptions{Touch: true, TTL: ttl})
			return err
		},
		"Count": func(c *client.Client, ttl time.Duration) error {
			_, err := c.Count(context.Background(), client.Counter{Key: "k", Touch: true, TTL: ttl})
			return err
		},
		"Count creates": func(c *client.Client, ttl time.Duration) error {
			if _, err := c.Delete(context.Background(), "k"); err != nil {
				return err
			}
			_, err := c.Count(context.Background(), client.Counter{Key: "k", Create: true, Initial: 1, TTL: ttl})
			return err
		},
		"Fill": func(c *client.Client, ttl time.Duration) error {
			if _, err := c.Delete(context.Background(), "k"); err != nil {
				return err
			}
			l, err := c.Lease(context.Background(), "k", client.LeaseOptions{})
			if err != nil {
				return err
			}
			_, err = c.Fill(context.Background(), l, client.Item{Value: []byte("1"), TTL: ttl})
			return err
		},
	}
}

const day = 24 * time.Hour

// Every call that takes a TTL gives the item the same life: by the real clock, and
// without a second's doubt by a test's.
func TestEveryTTLMeansTheSame(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		for name, give := range lives() {
			for _, ttl := range []time.Duration{time.Hour, 30 * day, 30*day + time.Second, 400 * day} {
				live(t, c, name, give, ttl, 5*time.Second)
			}
			if name == "Set until" || name == "Until" {
				continue
			}
			set(t, c, "k", "1")
			require.ErrorIs(t, give(c, -time.Second), client.ErrBadTTL, name)
			set(t, c, "k", "1")
			require.NoError(t, give(c, client.NoExpiry), name)
			info, err := c.Inspect(context.Background(), "k")
			require.NoError(t, err)
			require.Zero(t, info.TTL, name)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := newMemFleet(t, 1, nodeserver.Config{}).client(client.Config{})
		for name, give := range lives() {
			for _, ttl := range []time.Duration{time.Nanosecond, time.Second, 1500 * time.Millisecond, 20 * time.Second} {
				live(t, c, name, give, ttl, time.Second)
				time.Sleep(ttl - time.Second) // a node's clock ticks once a second
				require.Equal(t, "1", get(t, c, "k"), "%s %v", name, ttl)
			}
		}
	})
}

func live(t *testing.T, c *client.Client, name string, give func(*client.Client, time.Duration) error, ttl, within time.Duration) {
	t.Helper()
	_, err := c.Set(context.Background(), client.Item{Key: "k", Value: []byte("1"), TTL: time.Minute})
	require.NoError(t, err)
	require.NoError(t, give(c, ttl), "%s %v", name, ttl)
	info, err := c.Inspect(context.Background(), "k")
	require.NoError(t, err, "%s %v", name, ttl)
	require.InDelta(t, max(ttl, 2*time.Second), info.TTL, float64(within), "%s %v", name, ttl)
}
