package journal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// on returns the names of the nodes that something is owed to, and how many keys each, -1 for an overflow.
func on(t *testing.T, records []client.DebtRecord) map[string]int {
	owed := map[string]int{}
	for _, r := range records {
		require.False(t, r.At.IsZero(), "every record says when")
		if r.Key == "" {
			owed[r.Node] = -1
		} else if owed[r.Node] >= 0 {
			owed[r.Node]++
		}
	}
	return owed
}

// A node that leaves is owed more than anybody takes down from then on: one record says so, and the next process that
// has it in its list, at once or later, does not read what it holds; unless it was started since.
func TestANodeThatLeft(t *testing.T) {
	ctx := context.Background()
	for _, renewed := range []bool{false, true} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprint("renewed=", renewed, "/later=", later), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					network, nodes := fleet(t)
					j := open(t, filepath.Join(t.TempDir(), "debt"))
					defer func() { require.NoError(t, j.Close()) }()
					cfg := client.Config{Nodes: nodes, DialContext: network.DialContext, Timeout: 50 * time.Millisecond,
						Announce: client.NoAnnounce, MigrationWindow: client.NoMigrationWindow, DebtJournal: j}
					c, err := client.New(cfg)
					require.NoError(t, err)
					require.NoError(t, c.Ping(ctx))
					network.Partition("node0:1", true)
					for i := range 20 {
						_, _ = c.Delete(ctx, fmt.Sprint("k", i))
					}
					require.NoError(t, c.SetNodes(nodes[1:]))
					require.NoError(t, c.Close())
					left, err := j.Load()
					require.NoError(t, err)
					require.Equal(t, map[string]int{"node0": -1}, on(t, left))

					network.Partition("node0:1", false)
					if renewed {
						// Long ago, then: a server that counts whole seconds proves no less.
						left[0].At = time.Now().Add(-time.Minute)
						require.NoError(t, j.Write(left))
					}
					if later {
						cfg.Nodes = nodes[1:]
					}
					c, err = client.New(cfg)
					require.NoError(t, err)
					require.NoError(t, c.SetNodes(nodes))
					status := func() client.Status { return c.Nodes()[0] }
					if !renewed {
						require.Eventually(t, func() bool { return status().State == "mending" }, time.Minute, time.Millisecond)
						require.True(t, status().DebtOverflow)
						require.NoError(t, c.Readmit("node0"))
					}
					require.Eventually(t, func() bool { return status().State == "up" && !status().DebtOverflow }, time.Minute, time.Millisecond)
					require.NoError(t, c.Close())
					left, err = j.Load()
					require.NoError(t, err)
					require.Empty(t, left)
				})
			})
		}
	}
}

// One name at two addresses: what one of them has heard of the other may still be owed.
func TestOneNameAtTwoAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		network, nodes := fleet(t)
		second, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: "node0:2"})
		require.NoError(t, err)
		defer second.Close()
		j := open(t, filepath.Join(t.TempDir(), "debt"))
		defer func() { require.NoError(t, j.Close()) }()
		c, err := client.New(client.Config{Nodes: nodes, DialContext: network.DialContext, Timeout: 50 * time.Millisecond,
			Announce: client.NoAnnounce, MigrationWindow: time.Hour, DebtJournal: j})
		require.NoError(t, err)
		require.NoError(t, c.Ping(ctx))
		moved := append([]ring.Node{{Name: "node0", Addr: "node0:2"}}, nodes[1:]...)
		require.NoError(t, c.SetNodes(moved))
		network.Partition("node0:1", true)
		network.Partition("node0:2", true)
		for i := range 50 {
			_, _ = c.Delete(ctx, fmt.Sprint("k", i))
		}
		owedTo := func(addr string) int {
			at := slices.IndexFunc(c.Nodes(), func(s client.Status) bool { return s.Node.Addr == addr })
			return c.Nodes()[at].Debt
		}
		old, now := owedTo("node0:1"), owedTo("node0:2")
		require.NotZero(t, old)
		require.NotZero(t, now)
		network.Partition("node0:1", false)
		require.Eventually(t, func() bool { return owedTo("node0:1") == 0 }, time.Minute, time.Millisecond)
		require.Equal(t, now, owedTo("node0:2"))
		require.NoError(t, c.Close())
		left, err := j.Load()
		require.NoError(t, err)
		require.Equal(t, map[string]int{"node0": now}, on(t, left))
	})
}
