package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// onEveryTier runs a test on fleets of three nodes with two copies of each key, as old
// and as new as there are, and on mixed ones. told says whether every node tells TTLs.
func onEveryTier(t *testing.T, run func(t *testing.T, c *client.Client, told bool)) {
	check := func(cfg client.Config) client.Config {
		// A busy machine must not turn into failed nodes here.
		cfg.ReplicationFactor, cfg.Timeout, cfg.DialTimeout = 2, 10*time.Second, 10*time.Second
		cfg.Hooks.ConnLost = func(node string, cause error) {
			if !errors.Is(cause, client.ErrClosed) {
				t.Errorf("connection to %s lost: %v", node, cause)
			}
		}
		return cfg
	}
	for name, p := range map[string][3]nodeserver.Profile{
		"T0": {nodeserver.Profile15, nodeserver.Profile15, nodeserver.Profile15},
		"T1": {nodeserver.Profile1618, nodeserver.Profile1618, nodeserver.Profile1618},
		"T2": {nodeserver.Profile1622, nodeserver.Profile1622, nodeserver.Profile1622},
		"T3": {nodeserver.Profile1627, nodeserver.Profile1627, nodeserver.Profile1627},
		"T4": {},
		// All that can be out there together.
		"T0, T1 and T3": {nodeserver.Profile15, nodeserver.Profile1618, nodeserver.Profile1627},
		"T4, T0 and T2": {nodeserver.ProfileNewest, nodeserver.Profile15, nodeserver.Profile1622},
	} {
		t.Run(name, func(t *testing.T) {
			f := newProfiledFleet(t, p[0], p[1], p[2])
			c := f.client(check(client.Config{}))
			require.NoError(t, c.Ping(t.Context()))
			run(t, c, !strings.Contains(name, "T0"))
			var tiers []string
			for _, s := range c.Nodes() {
				tiers = append(tiers, s.Tier.String())
			}
			for _, tier := range tiers {
				require.Contains(t, name, tier)
			}
		})
	}
	for name, dial := range map[string]func(ctx context.Context, network, addr string) (net.Conn, error){
		"memcached": (&net.Dialer{}).DialContext, "memcached in classic words": dialClassic,
	} {
		t.Run(name, func(t *testing.T) {
			var addrs []string
			for range 3 {
				addrs = append(addrs, stock.ForTest(t).Addr())
			}
			c := newClient(t, check(client.Config{Nodes: ring.Addrs(addrs...), DialContext: dial}))
			require.NoError(t, c.Ping(t.Context())) // or the keys may pass by a node, whose tier stays unknown
			run(t, c, name == "memcached")
			require.Equal(t, name == "memcached", c.Nodes()[0].Tier != client.Tier0)
		})
	}
}

// awkward are values that look like protocol.
var awkward = []string{"", "v", "END\r\n", "\r\nEND\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n", "\x00\xff", strings.Repeat("x", 300_000)}

func TestReadsAndWritesOnEveryTier(t *testing.T) {
	onEveryTier(t, func(t *testing.T, c *client.Client, told bool) {
		ctx := context.Background()
		both := client.Outcome{Copies: 2, Confirmed: 2}
		for i, v := range awkward {
			key := fmt.Sprintf("k%d", i)
			out, err := c.Set(ctx, client.Item{Key: key, Value: []byte(v), Flags: uint32(i), TTL: time.Hour})
			require.NoError(t, err)
			require.Equal(t, both, out)
			it, err := c.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, v, string(it.Value))
			require.EqualValues(t, i, it.Flags)
			require.Zero(t, it.TTL)
			it, _, err = c.GetWith(ctx, key, client.GetOptions{})
			require.NoError(t, err)
			if told {
				require.InDelta(t, time.Hour, it.TTL, float64(5*time.Second))
			} else if it.TTL != 0 { // of a mixed fleet some nodes tell
				require.InDelta(t, time.Hour, it.TTL, float64(5*time.Second))
			}
			it, err = c.GetInto(ctx, key, make([]byte, 0, 8))
			require.NoError(t, err)
			require.Equal(t, v, string(it.Value))
			it, err = c.GetAndTouch(ctx, key, 2*time.Hour)
			require.NoError(t, err)
			require.Equal(t, v, string(it.Value))
			info, err := c.Inspect(ctx, key)
			require.NoError(t, err)
			require.Equal(t, len(v), info.Size)
			require.EqualValues(t, i, info.Flags)
			require.NotZero(t, info.CAS)
		}
		all := []string{"absent"}
		for i := range awkward {
			all = append(all, fmt.Sprintf("k%d", i))
		}
		found, err := c.GetMulti(ctx, all)
		require.NoError(t, err)
		require.Len(t, found, len(awkward))
		for i, v := range awkward {
			require.Equal(t, v, string(found[fmt.Sprintf("k%d", i)].Value))
		}
		for _, miss := range []func() error{
			func() error { _, err := c.Get(ctx, "absent"); return err },
			func() error { _, err := c.Gets(ctx, "absent"); return err },
			func() error { _, err := c.Inspect(ctx, "absent"); return err },
			func() error { _, err := c.GetAndTouch(ctx, "absent", time.Hour); return err },
			func() error { return c.Touch(ctx, "absent", time.Hour) },
		} {
			require.ErrorIs(t, miss(), client.ErrCacheMiss)
		}

		require.NoError(t, c.Touch(ctx, "k1", client.Expired))
		_, err = c.Get(ctx, "k1")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		_, err = c.Set(ctx, client.Item{Key: "k1", Value: []byte("v"), TTL: client.Expired})
		require.NoError(t, err)
		_, err = c.Get(ctx, "k1")
		require.ErrorIs(t, err, client.ErrCacheMiss)

		var items []client.Item
		for i := range 300 {
			items = append(items, client.Item{Key: fmt.Sprint("m", i), Value: fmt.Append(nil, i)})
		}
		outs, err := c.SetMulti(ctx, items)
		require.NoError(t, err)
		keys := make([]string, len(items))
		for i := range items {
			require.Equal(t, both, outs[i])
			keys[i] = items[i].Key
		}
		found, err = c.GetMulti(ctx, keys)
		require.NoError(t, err)
		for i, key := range keys {
			require.Equal(t, fmt.Sprint(i), string(found[key].Value))
		}
		outs, err = c.DeleteMulti(ctx, keys)
		require.NoError(t, err)
		for i := range outs {
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2, Found: true}, outs[i])
		}
		out, err := c.Delete(ctx, "k0")
		require.NoError(t, err)
		require.True(t, out.Found)
		out, err = c.Delete(ctx, "k0")
		require.NoError(t, err)
		require.False(t, out.Found)

		stats, err := c.Stats(ctx)
		require.NoError(t, err)
		require.Len(t, stats, 3)
		require.NoError(t, c.Ping(ctx))
		require.NoError(t, c.FlushAll(ctx))
		_, err = c.Get(ctx, "k3")
		require.ErrorIs(t, err, client.ErrCacheMiss)
	})
}

func TestReadModifyWriteOnEveryTier(t *testing.T) {
	onEveryTier(t, func(t *testing.T, c *client.Client, _ bool) {
		ctx := context.Background()
		for _, key := range keys("rmw") {
			is := func(want string) {
				t.Helper()
				it, err := c.Gets(ctx, key)
				require.NoError(t, err)
				require.Equal(t, want, string(it.Value))
			}
			stores := func(op func(context.Context, client.Item) (client.Outcome, error), v string) error {
				out, err := op(ctx, client.Item{Key: key, Value: []byte(v)})
				require.Equal(t, 2, out.Copies)
				return err
			}
			require.ErrorIs(t, stores(c.Replace, "x"), client.ErrNotStored)
			require.ErrorIs(t, stores(c.Append, "x"), client.ErrNotStored)
			require.ErrorIs(t, stores(c.Prepend, "x"), client.ErrNotStored)
			require.NoError(t, stores(c.Add, "b"))
			require.ErrorIs(t, stores(c.Add, "x"), client.ErrNotStored)
			require.NoError(t, stores(c.Append, "c"))
			require.NoError(t, stores(c.Prepend, "a"))
			is("abc")
			require.NoError(t, stores(c.Replace, "abcd"))
			it, err := c.Gets(ctx, key)
			require.NoError(t, err)
			it.Value = []byte("swapped")
			_, err = c.CompareAndSwap(ctx, it)
			require.NoError(t, err)
			is("swapped")
			_, err = c.CompareAndSwap(ctx, it)
			require.ErrorIs(t, err, client.ErrCASConflict)
			_, err = c.Increment(ctx, key, 1)
			require.ErrorIs(t, err, client.ErrNotNumber)
			_, err = c.Delete(ctx, key)
			require.NoError(t, err)
			_, err = c.CompareAndSwap(ctx, it)
			require.ErrorIs(t, err, client.ErrCacheMiss)

			count := func(want uint64, n client.Counter) {
				t.Helper()
				n.Key = key
				got, err := c.Count(ctx, n)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			_, err = c.Increment(ctx, key, 1)
			require.ErrorIs(t, err, client.ErrCacheMiss)
			_, err = c.Count(ctx, client.Counter{Key: key, Delta: 1, Touch: true, TTL: time.Hour})
			require.ErrorIs(t, err, client.ErrCacheMiss)
			count(10, client.Counter{Delta: 5, Create: true, Initial: 10, TTL: time.Hour})
			count(15, client.Counter{Delta: 5, Create: true, Initial: 10})
			count(12, client.Counter{Delta: 3, Decrement: true})
			count(0, client.Counter{Delta: 30, Decrement: true, Touch: true, TTL: time.Hour})
			count(1<<64-1, client.Counter{Delta: 1<<64 - 1})
			count(0, client.Counter{Delta: 1})
			count(1, client.Counter{Delta: 1, Touch: true, TTL: client.Expired})
			_, err = c.Increment(ctx, key, 1)
			require.ErrorIs(t, err, client.ErrCacheMiss, "touched away")
			count(7, client.Counter{Create: true, Initial: 7, TTL: client.Expired})
			_, err = c.Increment(ctx, key, 1)
			require.ErrorIs(t, err, client.ErrCacheMiss, "created expired")
		}
	})
}

func TestLeasesOnEveryTier(t *testing.T) {
	onEveryTier(t, func(t *testing.T, c *client.Client, _ bool) {
		ctx := context.Background()
		for _, key := range keys("lease") {
			state := func(want string) client.Lease {
				t.Helper()
				l, err := c.Lease(ctx, key, client.LeaseOptions{})
				require.NoError(t, err)
				require.Equal(t, want, l.State.String())
				return l
			}
			l := state("won")
			require.Len(t, l.Tokens, 2)
			state("wait")
			_, err := c.Get(ctx, key)
			require.ErrorIs(t, err, client.ErrCacheMiss, "a stub is no value")
			require.ErrorIs(t, c.Touch(ctx, key, time.Hour), client.ErrCacheMiss, "nor is it touched")
			_, err = c.Fill(ctx, l, client.Item{Value: []byte("late")})
			require.ErrorIs(t, err, client.ErrLeaseLost, "a touched stub is removed")
			require.Eventually(t, func() bool { // the removal waits for nobody
				l, err = c.Lease(ctx, key, client.LeaseOptions{})
				return err == nil && l.State.String() == "won"
			}, 10*time.Second, time.Millisecond)
			require.NoError(t, c.Release(ctx, l))
			require.Eventually(t, func() bool {
				l, err = c.Lease(ctx, key, client.LeaseOptions{})
				return err == nil && l.State.String() == "won"
			}, 10*time.Second, time.Millisecond)
			out, err := c.Fill(ctx, l, client.Item{Value: []byte("v"), Flags: 3, TTL: time.Hour})
			require.NoError(t, err)
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, out)
			hit := state("hit")
			require.Equal(t, "v", string(hit.Item.Value))
			require.EqualValues(t, 3, hit.Item.Flags)
			_, err = c.Fill(ctx, l, client.Item{Value: []byte("again")})
			require.ErrorIs(t, err, client.ErrLeaseLost, "a token is good for one fill")

			w, err := c.LeaseWrite(ctx, key)
			require.NoError(t, err)
			require.Len(t, w.Tokens, 2)
			out, err = c.Fill(ctx, w, client.Item{Value: []byte("put")})
			require.NoError(t, err)
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, out)
			require.Equal(t, "put", get(t, c, key))
			w, err = c.LeaseWrite(ctx, key)
			require.NoError(t, err)
			set(t, c, key, "newer")
			_, err = c.Fill(ctx, w, client.Item{Value: []byte("older")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			_, err = c.Get(ctx, key)
			require.ErrorIs(t, err, client.ErrCacheMiss, "the next reader asks the origin")
		}
	})
}

// A fill that the node refuses as too large leaves nobody waiting: the next caller wins.
func TestARefusedFillOnEveryTier(t *testing.T) {
	for name, dial := range map[string]func(ctx context.Context, network, addr string) (net.Conn, error){
		"memcached": (&net.Dialer{}).DialContext, "memcached in classic words": dialClassic,
	} {
		t.Run(name, func(t *testing.T) {
			s := stock.ForTest(t)
			c := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr()), DialContext: dial, MaxValueBytes: 4 << 20, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
			ctx := context.Background()
			for range 3 {
				var l client.Lease
				require.Eventually(t, func() bool {
					var err error
					l, err = c.Lease(ctx, "k", client.LeaseOptions{})
					return err == nil && l.State.String() == "won"
				}, 5*time.Second, time.Millisecond)
				_, err := c.Fill(ctx, l, client.Item{Value: make([]byte, 2<<20)})
				require.ErrorIs(t, err, client.ErrTooLarge)
			}
		})
	}
}
