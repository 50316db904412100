package client_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A list that was superseded at once, and that not everybody has heard of: who asks for lists from time to time has missed it.
// He deletes nothing on its nodes, and so nobody reads there what is missing elsewhere.
func TestRule17AListThatSomeHaveMissed(t *testing.T) {
	const announce, window = 2 * time.Second, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		first, second := f.nodes()[:2], f.nodes()[1:]
		cfg := client.Config{Nodes: first, ReplicationFactor: 1, Announce: announce, MigrationWindow: window, LeftoverWindow: client.NoLeftoverWindow}
		asks, hears := f.client(cfg), f.client(cfg)
		both := func(list []ring.Node) {
			for _, c := range []*client.Client{asks, hears} {
				require.NoError(t, c.SetNodes(list))
			}
		}
		passing := f.nodes()
		key := ""
		for i := 0; key == "" || ringOf(t, ring.Config{Nodes: first, Copies: 1}).Owner(key).Name != "node0" ||
			ringOf(t, ring.Config{Nodes: passing, Copies: 1}).Owner(key).Name != "node0"; i++ {
			key = fmt.Sprint("k", i)
		}
		set(t, hears, key, "old")
		require.NoError(t, asks.Ping(t.Context()))
		both(second)
		time.Sleep(3 * announce)
		require.NoError(t, hears.SetNodes(passing))
		time.Sleep(announce / 10)
		require.NoError(t, hears.SetNodes(second))
		time.Sleep(2 * announce)
		// For one the window is over, for the other it has just begun.
		out, err := asks.Delete(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, out.Copies, out.Confirmed)
		_, err = hears.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		closeFleet(t, f, asks, hears)
	})
}
