package journal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// The node's debt has overflowed, its server is restarted, and there is more that it does not hear of: a key that finds no room, or one that
// it is owed already. The next process does not take the restart for the end of what it is owed.
func TestOwedBehindARestart(t *testing.T) {
	for name, key := range map[string]string{"no room": "late", "owed anew": "k0"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.Background()
				network := nodeserver.NewMemNetwork()
				server, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: "node0:1"})
				require.NoError(t, err)
				j := open(t, filepath.Join(t.TempDir(), "debt"))
				defer func() { require.NoError(t, j.Close()) }()
				cfg := client.Config{Nodes: []ring.Node{{Name: "node0", Addr: "node0:1"}}, DialContext: network.DialContext,
					Timeout: 50 * time.Millisecond, DebtLimit: 10, DebtJournal: j}
				c, err := client.New(cfg)
				require.NoError(t, err)
				require.NoError(t, c.Ping(ctx))
				network.Partition("node0:1", true)
				for i := range 20 {
					_, _ = c.Delete(ctx, fmt.Sprint("k", i))
				}
				require.True(t, c.Nodes()[0].DebtOverflow)
				time.Sleep(time.Minute)
				require.NoError(t, server.Close())
				server, err = nodeserver.Start(nodeserver.Config{Network: network, Addr: "node0:1"})
				require.NoError(t, err)
				defer server.Close()
				time.Sleep(time.Minute)
				out, _ := c.Delete(ctx, key)
				require.Equal(t, 1, out.Owed)
				require.NoError(t, c.Close())
				network.Partition("node0:1", false)

				c, err = client.New(cfg)
				require.NoError(t, err)
				defer func() { require.NoError(t, c.Close()) }()
				time.Sleep(time.Minute)
				require.True(t, c.Nodes()[0].DebtOverflow, "the server may have come to hold the key before")
				_, err = c.Get(ctx, key)
				require.ErrorIs(t, err, client.ErrNodeDown)
			})
		})
	}
}
