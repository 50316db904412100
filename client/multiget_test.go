package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// Whatever is asked for together is what was stored, no more and no less: with many keys to a
// node and few, keys long enough to fill a command line with eight, duplicates, misses,
// empty values, and, where nodes take them, keys that are not plain.
func TestGetMultiIsTheModel(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		ctx := context.Background()
		cfg := client.Config{Nodes: h.nodes, ReplicationFactor: 2, DialContext: h.dial, Timeout: 10 * time.Second, Hooks: client.Hooks{ConnLost: func(node string, cause error) {
			if cause != client.ErrClosed {
				t.Errorf("connection to %s lost: %v", node, cause)
			}
		}}}
		var keys []string
		for i := range 700 {
			keys = append(keys, fmt.Sprint("key:", i))
		}
		for i := range 60 {
			keys = append(keys, strings.Repeat("l", 240)+fmt.Sprint(i))
		}
		if h.meta {
			cfg.Keys = client.AnyKeys
			keys = append(keys, hostile()...)
		}
		c, other := newClient(t, cfg), newClient(t, cfg)
		rng := rand.New(rand.NewPCG(5, 5))
		model := map[string]client.Item{}
		var items []client.Item
		for i, key := range keys {
			if i%3 > 0 {
				it := client.Item{Key: key, Value: []byte(strings.Repeat("v", i%7*i) + key), Flags: uint32(i % 5)}
				if i%11 == 0 {
					it.Value = nil
				}
				items = append(items, it)
				model[key] = it
			}
		}
		_, err := c.SetMulti(ctx, items)
		require.NoError(t, err)
		before, asked := other.Counters(), 0
		for range 30 {
			var ask []string
			for range rng.IntN(1 + rng.IntN(len(keys))) {
				ask = append(ask, keys[rng.IntN(len(keys))])
			}
			found, err := other.GetMulti(ctx, ask)
			require.NoError(t, err)
			again := map[string]client.Item{}
			require.NoError(t, other.GetMultiFunc(ctx, ask, func(it client.Item) {
				require.NotContains(t, again, it.Key, "each key is given once")
				again[it.Key] = it
			}))
			require.Equal(t, found, again)
			distinct := map[string]bool{}
			for _, key := range ask {
				if distinct[key] {
					continue
				}
				distinct[key] = true
				want, there := model[key]
				it, ok := found[key]
				require.Equal(t, there, ok, "%q", key)
				if there {
					require.Equal(t, key, it.Key)
					require.Equal(t, string(want.Value), string(it.Value))
					require.Equal(t, want.Flags, it.Flags)
				}
				delete(found, key)
			}
			require.Empty(t, found, "nothing else was asked for")
			asked += 2 * len(distinct)
		}
		after := other.Counters()
		require.EqualValues(t, asked, after.Gets-before.Gets, "every distinct key counts once")
		require.Zero(t, after.Errors)
	})
}

// A value that another program marked stale is read, but never held in memory, also
// when its key becomes hot while it is asked for among others.
func TestGetMultiHoldsNoStaleValue(t *testing.T) {
	reads := 100_000 // until it is hot; the stale one is read twice as often as the other had to be
	for _, stale := range []bool{false, true} {
		t.Run(fmt.Sprint("stale ", stale), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 1, nodeserver.Config{})
				c := f.client(client.Config{HotKeys: hot()})
				set(t, c, "k", "v")
				if stale {
					f.markStale("node0", "k")
				}
				for i := range reads {
					found, err := c.GetMulti(t.Context(), []string{"k", "other"})
					require.NoError(t, err)
					require.Equal(t, "v", string(found["k"].Value))
					if !stale && c.NearStats().Hits > 0 {
						times := 0
						require.NoError(t, c.GetMultiFunc(t.Context(), []string{"k", "k", "other", "k"}, func(it client.Item) {
							require.Equal(t, "k", it.Key)
							times++
						}))
						require.Equal(t, 1, times, "from memory, too")
						reads = 2 * (i + 1)
						return
					}
				}
				require.True(t, stale, "the key never got hot")
				require.Zero(t, c.NearStats().Hits)
				require.Equal(t, "k", c.HotKeys(1)[0].Key)
			})
		})
	}
}

// A key that turns hot while a plain read of it is under way is not held either: that
// read does not tell for how long the value is good.
func TestGetMultiHoldsNoValueBeyondItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		c := f.client(client.Config{HotKeys: hot()})
		for range 20 {
			_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("v"), TTL: 2 * time.Second})
			require.NoError(t, err)
			end := time.Now().Add(2 * time.Second)
			for time.Now().Before(end.Add(time.Second)) {
				for range 1000 {
					found, err := c.GetMulti(t.Context(), []string{"k"})
					require.NoError(t, err)
					require.True(t, len(found) == 0 || time.Now().Before(end.Add(time.Millisecond)), "served beyond its life")
				}
				time.Sleep(500 * time.Millisecond)
			}
		}
		require.NotZero(t, c.NearStats().Hits)
	})
}

// GetMulti and GetsMulti tell no key's TTL, whichever way it was asked for.
func TestGetMultiTellsNoTTL(t *testing.T) {
	f := newMemFleet(t, 2, nodeserver.Config{})
	c := f.client(client.Config{})
	for _, key := range keys("k") {
		_, err := c.Set(t.Context(), client.Item{Key: key, Value: []byte("v"), TTL: time.Hour})
		require.NoError(t, err)
	}
	for _, get := range []func(context.Context, []string) (map[string]client.Item, error){c.GetMulti, c.GetsMulti} {
		found, err := get(t.Context(), keys("k"))
		require.NoError(t, err)
		require.Len(t, found, len(keys("k")))
		for key, it := range found {
			require.Zero(t, it.TTL, key)
		}
	}
}
