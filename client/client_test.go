package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

func TestOperations(t *testing.T) {
	f := newMemFleet(t, 3, nodeserver.Config{})
	c := f.client(client.Config{ReplicationFactor: 2, Hooks: client.Hooks{
		ConnLost: func(node string, cause error) {
			if !errors.Is(cause, client.ErrClosed) {
				t.Errorf("connection to %s lost: %v", node, cause)
			}
		},
	}})
	ctx := context.Background()

	_, err := c.Get(ctx, "absent")
	require.ErrorIs(t, err, client.ErrCacheMiss)

	out, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("v"), Flags: 7, TTL: time.Minute})
	require.NoError(t, err)
	require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, out)
	it, err := c.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "v", string(it.Value))
	require.EqualValues(t, 7, it.Flags)
	require.Zero(t, it.TTL, "nobody asked for it")
	it, err = c.GetTTL(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "v", string(it.Value))
	require.InDelta(t, time.Minute, it.TTL, float64(2*time.Second))

	_, err = c.Add(ctx, client.Item{Key: "k", Value: []byte("x")})
	require.ErrorIs(t, err, client.ErrNotStored)
	_, err = c.Replace(ctx, client.Item{Key: "absent", Value: []byte("x")})
	require.ErrorIs(t, err, client.ErrNotStored)
	_, err = c.Add(ctx, client.Item{Key: "a", Value: []byte("1")})
	require.NoError(t, err)
	n, err := c.Increment(ctx, "a", 41)
	require.NoError(t, err)
	require.EqualValues(t, 42, n)
	n, err = c.Decrement(ctx, "a", 40)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = c.Increment(ctx, "absent", 1)
	require.ErrorIs(t, err, client.ErrCacheMiss)

	cas, err := c.Gets(ctx, "a")
	require.NoError(t, err)
	cas.Value = []byte("swapped")
	_, err = c.CompareAndSwap(ctx, cas)
	require.NoError(t, err)
	_, err = c.CompareAndSwap(ctx, cas)
	require.ErrorIs(t, err, client.ErrCASConflict)
	_, err = c.Increment(ctx, "a", 1)
	require.ErrorIs(t, err, client.ErrNotNumber)
	require.Equal(t, "swapped", get(t, c, "a"), "the connection survived the refusal")

	require.NoError(t, c.Touch(ctx, "a", time.Hour))
	it, err = c.GetAndTouch(ctx, "a", 2*time.Hour)
	require.NoError(t, err)
	require.Equal(t, "swapped", string(it.Value))
	require.ErrorIs(t, c.Touch(ctx, "absent", time.Hour), client.ErrCacheMiss)

	out, err = c.Delete(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2, Found: true}, out)
	out, err = c.Delete(ctx, "k")
	require.NoError(t, err)
	require.False(t, out.Found)

	stats, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Len(t, stats, 3)
	require.NotEmpty(t, stats["node0"]["curr_items"])
	require.NoError(t, c.Ping(ctx))
	require.NoError(t, c.FlushAll(ctx))
	_, err = c.Get(ctx, "a")
	require.ErrorIs(t, err, client.ErrCacheMiss)
}

func TestEmptyAndZeroFlags(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	c := f.client(client.Config{})
	set(t, c, "empty", "")
	it, err := c.Get(context.Background(), "empty")
	require.NoError(t, err, "an empty value with flags 0 is no stub")
	require.Empty(t, it.Value)
	require.Zero(t, it.Flags)
}

func TestGetInto(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	c := f.client(client.Config{})
	ctx := context.Background()
	set(t, c, "k", "value")
	dst := make([]byte, 0, 16)
	it, err := c.GetInto(ctx, "k", dst)
	require.NoError(t, err)
	require.Equal(t, "value", string(it.Value))
	require.Same(t, &dst[:1][0], &it.Value[0], "the caller's memory is used")
	it2, err := c.GetInto(ctx, "k", nil)
	require.NoError(t, err)
	require.Equal(t, "value", string(it2.Value))
	set(t, c, "k", "other")
	_, err = c.GetInto(ctx, "k", make([]byte, 0, 16))
	require.NoError(t, err)
	require.Equal(t, "value", string(it.Value), "nobody else writes to it")
	none, err := c.GetInto(ctx, "absent", dst)
	require.ErrorIs(t, err, client.ErrCacheMiss)
	require.Zero(t, none)
}
