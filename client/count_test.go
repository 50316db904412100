package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// onBoth runs a test against an embedded node and against the real memcached.
func onBoth(t *testing.T, run func(t *testing.T, c *client.Client)) {
	t.Run("memnode", func(t *testing.T) { run(t, newMemFleet(t, 1, nodeserver.Config{}).client(client.Config{})) })
	t.Run("memcached", func(t *testing.T) {
		run(t, newClient(t, client.Config{Nodes: ring.Addrs(stock.ForTest(t).Addr())}))
	})
}

func TestCount(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx := context.Background()
		_, err := c.Count(ctx, client.Counter{Key: "n", Delta: 1})
		require.ErrorIs(t, err, client.ErrCacheMiss, "not created unless asked for")

		n, err := c.Count(ctx, client.Counter{Key: "n", Delta: 5, Create: true, Initial: 100, TTL: time.Hour})
		require.NoError(t, err)
		require.EqualValues(t, 100, n, "delta is not applied to the initial value")
		info, err := c.Inspect(ctx, "n")
		require.NoError(t, err)
		require.InDelta(t, time.Hour, info.TTL, float64(2*time.Second))

		n, err = c.Count(ctx, client.Counter{Key: "n", Delta: 5, Create: true, Initial: 100})
		require.NoError(t, err)
		require.EqualValues(t, 105, n)
		n, err = c.Count(ctx, client.Counter{Key: "n", Delta: 200, Decrement: true, TTL: 2 * time.Hour, Touch: true})
		require.NoError(t, err)
		require.Zero(t, n, "a difference stops at 0")
		info, err = c.Inspect(ctx, "n")
		require.NoError(t, err)
		require.InDelta(t, 2*time.Hour, info.TTL, float64(2*time.Second))

		set(t, c, "n", "18446744073709551615")
		n, err = c.Increment(ctx, "n", 1)
		require.NoError(t, err)
		require.Zero(t, n, "a sum wraps")
		_, err = c.Count(ctx, client.Counter{Key: "n", TTL: -time.Second, Touch: true})
		require.ErrorIs(t, err, client.ErrBadTTL)
	})
}

func TestInspect(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx := context.Background()
		_, err := c.Inspect(ctx, "absent")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		_, err = c.Set(ctx, client.Item{Key: "k", Value: []byte("value"), Flags: 9})
		require.NoError(t, err)
		info, err := c.Inspect(ctx, "k")
		require.NoError(t, err)
		require.Equal(t, 5, info.Size)
		require.EqualValues(t, 9, info.Flags)
		require.False(t, info.Hit)
		require.Zero(t, info.TTL)
		require.NotZero(t, info.CAS)
		require.Equal(t, "value", get(t, c, "k"))
		info, err = c.Inspect(ctx, "k")
		require.NoError(t, err)
		require.True(t, info.Hit)

		l, err := c.Lease(ctx, "leased", client.LeaseOptions{})
		require.NoError(t, err)
		_, err = c.Inspect(ctx, "leased")
		require.ErrorIs(t, err, client.ErrCacheMiss, "a stub is no value")
		_, err = c.Fill(ctx, l, client.Item{Value: []byte("filled")})
		require.NoError(t, err)
		require.Equal(t, "filled", get(t, c, "leased"))
	})
}

func TestSetUntil(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx := context.Background()
		for _, d := range []time.Duration{time.Hour, 40 * 24 * time.Hour} {
			_, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("v"), TTL: client.Until(time.Now().Add(d))})
			require.NoError(t, err)
			it, _, err := c.GetWith(ctx, "k", client.GetOptions{})
			require.NoError(t, err)
			require.InDelta(t, d, it.TTL, float64(3*time.Second))
		}
		_, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("v"), TTL: client.Until(time.Now().Add(-time.Second))})
		require.NoError(t, err)
		_, err = c.Get(ctx, "k")
		require.ErrorIs(t, err, client.ErrCacheMiss)
	})
}
