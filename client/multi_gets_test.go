package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// Each of many items comes with a token that changes it once: from classic commands of many keys, from
// the meta get behind them, from servers without meta commands, with keys that are not plain.
func TestGetsMulti(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		ctx := context.Background()
		cfg := client.Config{Nodes: h.nodes, DialContext: h.dial, Timeout: 10 * time.Second}
		var keys []string
		for i := range 150 {
			keys = append(keys, fmt.Sprint("key:", i))
		}
		if h.meta {
			cfg.Keys = client.AnyKeys
			keys = append(keys, hostile()...)
		}
		c := newClient(t, cfg)
		for _, key := range keys {
			set(t, c, key, "v")
		}
		found, err := c.GetsMulti(ctx, append(keys, "absent"))
		require.NoError(t, err)
		require.Len(t, found, len(keys))
		for i, key := range keys {
			it := found[key]
			require.Equal(t, "v", string(it.Value))
			if i%2 == 0 {
				set(t, c, key, "changed")
				_, err = c.CompareAndSwap(ctx, it)
				require.ErrorIs(t, err, client.ErrCASConflict, "%q", key)
				continue
			}
			it.Value = []byte("new")
			_, err = c.CompareAndSwap(ctx, it)
			require.NoError(t, err, "%q", key)
			_, err = c.CompareAndSwap(ctx, it)
			require.ErrorIs(t, err, client.ErrCASConflict, "%q", key)
		}
	})
}

// A token is the owner's: GetsMulti asks that, whichever zone it is in, and what it returns can be compared and swapped.
func TestGetsMultiAsksTheOwnerInAnotherZone(t *testing.T) {
	f := newMemFleet(t, 4, nodeserver.Config{})
	nodes := f.nodes()
	for i := range nodes {
		nodes[i].Zone = []string{"here", "there"}[i%2]
	}
	c := f.client(client.Config{Nodes: nodes, ReplicationFactor: 2, ReadZone: "here"})
	for _, key := range keys("k") {
		set(t, c, key, "v")
	}
	found, err := c.GetsMulti(t.Context(), keys("k"))
	require.NoError(t, err)
	require.Len(t, found, len(keys("k")))
	for key, it := range found {
		it.Value = []byte("w")
		_, err := c.CompareAndSwap(t.Context(), it)
		require.NoError(t, err, key)
	}
}

// Memory does not answer GetsMulti, so it is not said to have.
func TestGetsMultiCountsNoNearHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		c := f.client(client.Config{HotKeys: hot()})
		set(t, c, "k", "v")
		heat(t, c, "k")
		before := c.Counters()
		found, err := c.GetsMulti(t.Context(), []string{"k"})
		require.NoError(t, err)
		require.NotZero(t, found["k"].CAS)
		after := c.Counters()
		require.Equal(t, before.NearHits, after.NearHits)
		require.Equal(t, before.Gets+1, after.Gets)
		closeFleet(t, f, c)
	})
}
