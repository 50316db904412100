package client_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

func TestFleetWideCalls(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		c := h.client()
		ctx := context.Background()
		versions, err := c.Versions(ctx)
		require.NoError(t, err)
		require.Len(t, versions, 2)
		for _, v := range versions {
			require.True(t, strings.HasPrefix(v, "1."), v)
		}
		set(t, c, "k", "v")
		for group, want := range map[client.StatsGroup]string{
			client.StatsGeneral: "curr_items", client.StatsSettings: "maxbytes", client.StatsItems: "items:1:number",
			client.StatsSlabs: "active_slabs", client.StatsSizes: "sizes_status", client.StatsConns: ":addr",
		} {
			stats, err := c.StatsOf(ctx, group)
			require.NoError(t, err)
			require.Len(t, stats, 2)
			for node, m := range stats {
				found := false
				for name := range m {
					found = found || strings.HasSuffix(name, want)
				}
				require.True(t, found, "%s of %s: %v", group, node, m)
			}
		}
		_, err = c.StatsOf(ctx, "items\r\nflush_all")
		require.ErrorIs(t, err, client.ErrConfig)
		require.True(t, client.SafeToRetry(err))

		nodes := h.placed("k")
		require.ErrorIs(t, c.FlushNode(ctx, "nobody", 0), client.ErrConfig)
		require.NoError(t, c.FlushNode(ctx, nodes[1].Name, 0))
		require.Equal(t, []string{"v", "-"}, h.values("k"))
		require.ErrorIs(t, c.FlushNode(ctx, nodes[0].Name, -1), client.ErrBadTTL)
		require.ErrorIs(t, c.FlushAllAfter(ctx, client.Expired), client.ErrBadTTL)
		require.NoError(t, c.FlushAllAfter(ctx, 40*24*time.Hour))
		require.Equal(t, "v", get(t, c, "k"), "not yet")
		require.NoError(t, c.FlushAll(ctx))
		require.Equal(t, []string{"-", "-"}, h.values("k"))
	})
}

// A flush takes what was stored until its time has come.
func TestFlushAllAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{})
		set(t, c, "before", "v")
		require.NoError(t, c.FlushAllAfter(context.Background(), 10*time.Second))
		time.Sleep(5 * time.Second)
		set(t, c, "meanwhile", "v")
		require.Equal(t, "v", get(t, c, "before"))
		time.Sleep(7 * time.Second)
		found, err := c.GetMulti(context.Background(), []string{"before", "meanwhile"})
		require.NoError(t, err)
		require.Empty(t, found)
		set(t, c, "after", "v")
		require.Equal(t, "v", get(t, c, "after"))
	})
}
