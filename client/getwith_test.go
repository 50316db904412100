package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

func TestGetWith(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx := context.Background()
		_, _, err := c.GetWith(ctx, "absent", client.GetOptions{})
		require.ErrorIs(t, err, client.ErrCacheMiss)
		_, _, err = c.GetWith(ctx, "absent", client.GetOptions{Touch: true, TTL: time.Hour})
		require.ErrorIs(t, err, client.ErrCacheMiss)
		_, err = c.Set(ctx, client.Item{Key: "k", Value: []byte("value"), Flags: 9, TTL: time.Hour})
		require.NoError(t, err)

		for range 2 { // a look leaves no trace
			it, info, err := c.GetWith(ctx, "k", client.GetOptions{NoBump: true})
			require.NoError(t, err)
			require.Equal(t, "value", string(it.Value))
			require.EqualValues(t, 9, it.Flags)
			require.Equal(t, 5, info.Size)
			require.EqualValues(t, 9, info.Flags)
			require.InDelta(t, time.Hour, info.TTL, float64(2*time.Second))
			require.Equal(t, info.TTL, it.TTL)
			require.False(t, info.Hit)
		}
		_, info, err := c.GetWith(ctx, "k", client.GetOptions{})
		require.NoError(t, err)
		require.False(t, info.Hit, "before this read")
		dst := make([]byte, 0, 16)
		it, info, err := c.GetWith(ctx, "k", client.GetOptions{Touch: true, TTL: 48 * time.Hour, Dst: dst})
		require.NoError(t, err)
		require.True(t, info.Hit)
		require.InDelta(t, time.Hour, info.TTL, float64(2*time.Second), "the life it had")
		require.Equal(t, 48*time.Hour, it.TTL, "the life it has")
		require.Same(t, &dst[:1][0], &it.Value[0])
		_, info, err = c.GetWith(ctx, "k", client.GetOptions{NoBump: true})
		require.NoError(t, err)
		require.InDelta(t, 48*time.Hour, info.TTL, float64(2*time.Second))

		it.Value = []byte("swapped")
		_, err = c.CompareAndSwap(ctx, it)
		require.NoError(t, err, "the answer's token is good")
		require.Equal(t, "swapped", get(t, c, "k"))
		_, err = c.CompareAndSwap(ctx, it)
		require.ErrorIs(t, err, client.ErrCASConflict)
		_, _, err = c.GetWith(ctx, "k", client.GetOptions{Touch: true, TTL: -1})
		require.ErrorIs(t, err, client.ErrBadTTL)

		// A stub is no value, and neither read breaks the lease.
		l := won(t, c, "leased")
		for _, o := range []client.GetOptions{{}, {NoBump: true}} {
			_, _, err = c.GetWith(ctx, "leased", o)
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
		_, err = c.Fill(ctx, l, client.Item{Value: []byte("filled")})
		require.NoError(t, err)
		require.Equal(t, "filled", get(t, c, "leased"))
	})
}

// Touch reaches every copy, whatever else is asked.
func TestGetWithTouchesEveryCopy(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		c := h.client()
		ctx := context.Background()
		set(t, c, "k", "v")
		_, _, err := c.GetWith(ctx, "k", client.GetOptions{Touch: true, TTL: time.Hour, NoBump: true})
		require.NoError(t, err)
		for _, n := range h.placed("k") {
			line, value := h.ask(n, "mg k v t u\r\n")
			require.Equal(t, "v", value)
			require.NotContains(t, line, "t-1")
		}
		require.NoError(t, c.Touch(ctx, "k", client.Until(time.Now().Add(-time.Second))))
		for _, n := range h.placed("k") {
			line, _ := h.ask(n, "mg k v\r\n")
			require.Equal(t, "EN", line)
		}
	})
}
