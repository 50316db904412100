package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// A lease that asks for the home copy alone sees neither the near-cache nor another copy:
// when the home copy fails, so does it, and the next one goes to the copy that is home then.
func TestLeaseAtHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := newClient(t, client.Config{
			Nodes: f.nodes(), ReplicationFactor: 2, DialContext: f.dial, Timeout: 50 * time.Millisecond,
			HotKeys: &hotkey.Config{Staleness: time.Minute},
		})
		raw := newClient(t, client.Config{Nodes: f.nodes(), ReplicationFactor: 2, DialContext: f.dial})
		ctx := context.Background()
		lease := func(home bool) (item.Lease, error) {
			return c.Lease(ctx, "k", item.LeaseOptions{Home: home})
		}
		set(t, raw, "k", "old")
		for near := false; !near; { // until it is hot
			l, err := lease(false)
			require.NoError(t, err)
			near = l.Level == item.FromNear
		}
		set(t, raw, "k", "new")
		l, err := lease(false)
		require.NoError(t, err)
		require.Equal(t, "old", string(l.Item.Value), "within its bound")
		l, err = lease(true)
		require.NoError(t, err)
		require.Equal(t, "new", string(l.Item.Value))
		many, errs := c.LeaseMulti(ctx, []string{"k"}, item.LeaseOptions{Home: true})
		require.NoError(t, errs[0])
		require.Equal(t, "new", string(many[0].Item.Value))
		l, err = c.Lease(ctx, "k", item.LeaseOptions{Home: true, Refresh: time.Hour, Force: true})
		require.NoError(t, err)
		require.Equal(t, item.LeaseRefresh, l.State)
		require.Equal(t, "new", string(l.Item.Value))
		require.NoError(t, c.Release(ctx, l))

		owner := (&herd{t: t, nodes: f.nodes()}).placed("k")[0].Name
		f.network.Partition(owner, true)
		failovers := c.Counters().Failovers
		_, err = lease(true)
		require.Error(t, err)
		require.Equal(t, failovers, c.Counters().Failovers, "no other copy was asked")
		for err != nil { // until the owner counts as down
			l, err = lease(true)
		}
		require.Equal(t, "new", string(l.Item.Value))
		f.network.Partition(owner, false)
		closeFleet(t, f, c, raw)
	})
}
