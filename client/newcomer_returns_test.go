package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// A process that has just started is the first to hear of a list that takes a node back, before it has met any node: it learns what that
// has missed from the lists that the others have left, or, where those are forgotten, when the others hear of it, too.
func TestRule17ANewcomerHearsFirstOfANodeThatReturns(t *testing.T) {
	const window = time.Minute
	for name, test := range map[string]struct {
		leftover time.Duration
		away     time.Duration // from the switch on
		others   time.Duration // hear of it so much later
	}{
		"its list is remembered": {away: 2 * window, others: 3 * window},
		"its list is forgotten":  {leftover: client.NoLeftoverWindow, away: 10 * window, others: client.DefaultAnnounce / 2},
		"others hear at once":    {away: 2 * window},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				cfg := client.Config{MigrationWindow: window, LeftoverWindow: test.leftover}
				c := f.client(cfg)
				key := onNode(t, []string{"node0", "node1"}, f.nodes(), f.nodes()[1:])
				set(t, c, key, "old")
				require.NoError(t, c.SetNodes(f.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce + test.away)
				_, err := c.Delete(t.Context(), key)
				require.NoError(t, err)
				cfg.Nodes = f.nodes()[1:]
				starts := f.client(cfg)
				require.NoError(t, starts.SetNodes(f.nodes()))
				_, err = starts.Get(t.Context(), key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				time.Sleep(test.others)
				require.NoError(t, c.SetNodes(f.nodes()))
				for range 60 {
					time.Sleep(time.Second)
					it, err := starts.Get(t.Context(), key)
					require.Error(t, err, "%s", it.Value)
				}
				closeFleet(t, f, c, starts)
			})
		})
	}
}

// A process that learns from the others' lists which nodes have come back and are not read says so itself, then, and not when the fleet changes next.
func TestRule17ANewcomerTellsWhatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = time.Minute
		f := newMemFleet(t, 3, nodeserver.Config{})
		c := f.client(client.Config{MigrationWindow: window})
		require.NoError(t, c.Ping(t.Context()))
		require.NoError(t, c.SetNodes(f.nodes()[1:]))
		time.Sleep(client.DefaultAnnounce + 10*window)
		require.NoError(t, c.SetNodes(f.nodes()))
		time.Sleep(client.DefaultAnnounce + window/2)
		require.True(t, c.Nodes()[0].DebtOverflow)
		told := make(chan string, 10)
		starts := f.client(client.Config{MigrationWindow: window, Hooks: client.Hooks{DebtOverflow: func(node string) { told <- node }}})
		_ = starts.Ping(t.Context())
		time.Sleep(time.Second)
		require.True(t, starts.Nodes()[0].DebtOverflow)
		require.Len(t, told, 1)
		require.Equal(t, "node0", <-told)
		require.NoError(t, starts.Readmit("node0"))
		require.NoError(t, starts.SetNodes(f.nodes()[:2]))
		require.Empty(t, told, "it is read again")
		closeFleet(t, f, c, starts)
	})
}
