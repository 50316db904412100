package client_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// others are the operations that take a context and are not among calls.
func others(c *client.Client, ctx context.Context) map[string]func() error {
	write := client.Lease{Key: "key", State: item.LeaseWrite}
	it := client.Item{Value: []byte("v")}
	return map[string]func() error{
		"Ping":                  func() error { return c.Ping(ctx) },
		"Stats":                 func() error { _, err := c.Stats(ctx); return err },
		"StatsOf":               func() error { _, err := c.StatsOf(ctx, client.StatsItems); return err },
		"Versions":              func() error { _, err := c.Versions(ctx); return err },
		"FlushAll":              func() error { return c.FlushAll(ctx) },
		"FlushAllAfter":         func() error { return c.FlushAllAfter(ctx, time.Minute) },
		"FlushNode":             func() error { return c.FlushNode(ctx, "127.0.0.1:1", 0) },
		"Release":               func() error { return c.Release(ctx, client.Lease{Key: "key"}) },
		"Fill after LeaseWrite": func() error { _, err := c.Fill(ctx, write, it); return err },
		"FillKeep":              func() error { _, _, err := c.FillKeep(ctx, write, it); return err },
		"FillKeepMulti": func() error {
			_, _, errs := c.FillKeepMulti(ctx, []client.Lease{write}, []client.Item{it})
			return errs[0]
		},
		"GetMulti of nothing":    func() error { _, err := c.GetMulti(ctx, nil); return err },
		"SetMulti of nothing":    func() error { _, err := c.SetMulti(ctx, nil); return err },
		"DeleteMulti of nothing": func() error { _, err := c.DeleteMulti(ctx, nil); return err },
	}
}

func TestANilContextIsRefused(t *testing.T) {
	c := noDial(t)
	for _, ops := range []map[string]func() error{calls(c, nil, "key"), others(c, nil)} {
		for name, op := range ops {
			err := op()
			require.ErrorIs(t, err, client.ErrNilContext, name)
			require.True(t, client.SafeToRetry(err), name)
		}
	}
}

func TestAClosedClientRefusesEverythingElse(t *testing.T) {
	c := noDial(t)
	require.NoError(t, c.Close())
	for name, op := range others(c, context.Background()) {
		require.ErrorIs(t, op(), client.ErrClosed, name)
	}
}

// Calls of no keys do nothing, in a client that works.
func TestCallsOfNothing(t *testing.T) {
	c, ctx := noDial(t), context.Background()
	found, err := c.GetMulti(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, c.GetMultiFunc(ctx, nil, func(client.Item) { t.Error("there is nothing") }))
	for _, items := range [][]client.Item{nil, {}} {
		outs, err := c.SetMulti(ctx, items)
		require.NoError(t, err)
		require.Empty(t, outs)
	}
	outs, err := c.DeleteMulti(ctx, []string{})
	require.NoError(t, err)
	require.Empty(t, outs)
	leases, errs := c.LeaseMulti(ctx, nil, client.LeaseOptions{})
	require.Empty(t, leases)
	require.Empty(t, errs)
	kept, outs, errs := c.FillKeepMulti(ctx, nil, nil)
	require.Empty(t, kept)
	require.Empty(t, outs)
	require.Empty(t, errs)
	require.ErrorIs(t, c.SetNodes(nil), ring.ErrNoNodes)
}

// A refused fill gives its lease back: the next caller wins at once.
func TestARefusedFillLosesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemFleet(t, 2, nodeserver.Config{}).client(client.Config{ReplicationFactor: 2})
		ctx, none := context.Background(), context.Context(nil)
		for name, fill := range map[string]func(l client.Lease) error{
			"nil context": func(l client.Lease) error { _, err := c.Fill(none, l, client.Item{}); return err },
			"too large": func(l client.Lease) error {
				_, err := c.Fill(ctx, l, client.Item{Value: make([]byte, client.DefaultMaxValueBytes+1)})
				return err
			},
			"TTL":                  func(l client.Lease) error { _, err := c.Fill(ctx, l, client.Item{TTL: -1}); return err },
			"FillKeep":             func(l client.Lease) error { _, _, err := c.FillKeep(none, l, client.Item{}); return err },
			"FillKeep of no write": func(l client.Lease) error { _, _, err := c.FillKeep(ctx, l, client.Item{}); return err },
			"FillKeep, too large": func(l client.Lease) error {
				_, _, err := c.FillKeep(ctx, l, client.Item{Value: make([]byte, client.DefaultMaxValueBytes+1)})
				return err
			},
			"FillKeepMulti": func(l client.Lease) error {
				_, _, errs := c.FillKeepMulti(none, []client.Lease{l}, make([]client.Item, 1))
				return errs[0]
			},
		} {
			l, err := c.Lease(ctx, "k", client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, item.LeaseWon, l.State, name)
			require.Error(t, fill(l), name)
			synctest.Wait()
		}
	})
}

func TestANilFunctionIsRefused(t *testing.T) {
	c := noDial(t)
	for _, get := range []func(context.Context, []string, func(client.Item)) error{c.GetMultiFunc, c.GetsMultiFunc} {
		err := get(context.Background(), []string{"k"}, nil)
		require.ErrorIs(t, err, client.ErrConfig)
		require.True(t, client.SafeToRetry(err))
	}
}

// A function that panics takes its own call down and no other: not those that have the memory of that call after it.
func TestAFunctionThatPanics(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx := context.Background()
		var keys []string
		for i := range 300 {
			keys = append(keys, fmt.Sprint("k", i))
			set(t, c, keys[i], "v")
		}
		for range 20 {
			require.PanicsWithValue(t, "mine", func() { _ = c.GetMultiFunc(ctx, keys, func(client.Item) { panic("mine") }) })
			found, err := c.GetMulti(ctx, keys)
			require.NoError(t, err)
			require.Len(t, found, len(keys))
		}
		require.Zero(t, c.Nodes()[0].Failures)
	})
}

// Values of exactly the limit go in with the longest key there is, at the limits a node and a client have by themselves.
func TestTheLargestValue(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx, key := context.Background(), strings.Repeat("k", 250)
		largest := make([]byte, client.DefaultMaxValueBytes)
		for i := range largest {
			largest[i] = byte(i % 251)
		}
		_, err := c.Set(ctx, client.Item{Key: key, Value: largest, TTL: time.Hour})
		require.NoError(t, err)
		require.Equal(t, string(largest), get(t, c, key))
		_, err = c.SetMulti(ctx, []client.Item{{Key: key, Value: largest}})
		require.NoError(t, err)
		found, err := c.GetMulti(ctx, []string{"other", key, "another"})
		require.NoError(t, err)
		require.Equal(t, largest, found[key].Value)

		_, err = c.Set(ctx, client.Item{Key: key, Value: append(largest, 0)})
		require.ErrorIs(t, err, client.ErrTooLarge)
		require.Equal(t, string(largest), get(t, c, key), "what is refused unsent changes nothing")
	})
}

// What ends before it begins is not there afterwards, and neither is what was there before.
func TestATimeThatHasPassed(t *testing.T) {
	onBoth(t, func(t *testing.T, c *client.Client) {
		ctx := context.Background()
		for _, at := range []time.Time{time.Now().Add(-time.Nanosecond), time.Now().Add(-50 * 365 * 24 * time.Hour), time.Unix(0, 0), time.Unix(1, 0)} {
			set(t, c, "k", "old")
			_, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("new"), TTL: client.Until(at)})
			require.NoError(t, err)
			_, err = c.Get(ctx, "k")
			require.ErrorIs(t, err, client.ErrCacheMiss, "%v", at)
		}
		// No later than a node can say, which is no time that has passed.
		for _, at := range []time.Time{time.Now().Add(100 * 365 * 24 * time.Hour), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
			_, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("new"), TTL: client.Until(at)})
			require.NoError(t, err)
			require.Equal(t, "new", get(t, c, "k"), "%v", at)
		}
	})
}

// A caller whose context ends while the owner is being dialled for the first time does not wait for that.
func TestRMWWaitsNoLongerThanItsContext(t *testing.T) {
	for name, op := range map[string]func(ctx context.Context, c *client.Client) error{
		"Increment": func(ctx context.Context, c *client.Client) error { _, err := c.Increment(ctx, "k", 1); return err },
		"Gets":      func(ctx context.Context, c *client.Client) error { _, err := c.Gets(ctx, "k"); return err },
		"GetsOrGet": func(ctx context.Context, c *client.Client) error { _, err := c.GetsOrGet(ctx, "k"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 1)
				c, err := client.New(client.Config{Nodes: l.nodes(), DialTimeout: 10 * time.Second, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				require.NoError(t, err)
				defer l.closeAll(c)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				err = op(ctx, c)
				require.Equal(t, 100*time.Millisecond, time.Since(began))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.True(t, client.SafeToRetry(err))
			})
		})
	}
}
