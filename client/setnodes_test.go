package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// Keys of nodes that stay are still there; leases from before are void.
func TestSetNodes(t *testing.T) {
	f := newMemFleet(t, 4, nodeserver.Config{})
	c := f.client(client.Config{Nodes: f.nodes()[:3], Announce: client.NoAnnounce, MigrationWindow: client.NoMigrationWindow})
	before := ringOf(t, ring.Config{Nodes: f.nodes()[:3]})
	after := ringOf(t, ring.Config{Nodes: f.nodes()})
	for i := range 200 {
		set(t, c, fmt.Sprint("k", i), "v")
	}
	l := won(t, c, "leased")
	require.NoError(t, c.SetNodes(f.nodes()))
	require.Len(t, c.Nodes(), 4)
	stayed := 0
	for i := range 200 {
		key := fmt.Sprint("k", i)
		_, err := c.Get(context.Background(), key)
		if before.Owner(key).Name == after.Owner(key).Name {
			stayed++
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
	}
	require.Greater(t, stayed, 100)
	_, err := c.Fill(context.Background(), l, client.Item{Value: []byte("v")})
	require.ErrorIs(t, err, client.ErrLeaseLost)

	for _, bad := range [][]ring.Node{nil, append(f.nodes(), f.nodes()[0])} {
		require.Error(t, c.SetNodes(bad))
		require.Len(t, c.Nodes(), 4, "a list that is refused changes nothing")
	}
}

// A fleet that shrinks below R works on with fewer copies.
func TestShrinkBelowR(t *testing.T) {
	f := newMemFleet(t, 3, nodeserver.Config{})
	c := f.client(client.Config{ReplicationFactor: 3, Announce: client.NoAnnounce, MigrationWindow: client.NoMigrationWindow})
	require.NoError(t, c.SetNodes(f.nodes()[:1]))
	out, err := c.Set(context.Background(), client.Item{Key: "k", Value: []byte("v")})
	require.NoError(t, err)
	require.Equal(t, client.Outcome{Copies: 1, Confirmed: 1}, out)
	require.NoError(t, c.SetNodes(f.nodes()))
	for { // those that come back are not trusted, and hear of writes once they have been probed
		out, err = c.Set(context.Background(), client.Item{Key: "k", Value: []byte("v")})
		require.NoError(t, err)
		require.Equal(t, 3, out.Copies)
		if out.Confirmed == 3 {
			break
		}
	}
}

// Membership changes under load: calls that lose their node go elsewhere, with one copy
// as with two.
func TestSetNodesUnderLoad(t *testing.T) {
	for _, copies := range []int{1, 2} {
		t.Run(fmt.Sprint("R=", copies), func(t *testing.T) {
			f := newMemFleet(t, 4, nodeserver.Config{})
			c := f.client(client.Config{ReplicationFactor: copies, Timeout: 5 * time.Second, Announce: client.NoAnnounce})
			l := startLoad(c)
			for i := range 10 {
				l.after(t, 500)
				require.NoError(t, c.SetNodes(f.nodes()[:3+i%2]))
			}
			l.after(t, 500)
			l.finish(t)
		})
	}
}

// Close ends the calls under way and waits for everything it started.
func TestCloseUnderLoad(t *testing.T) {
	f := newMemFleet(t, 2, nodeserver.Config{})
	c := f.client(client.Config{ReplicationFactor: 2})
	set(t, c, "k", "v")
	f.network.Partition("node0", true)
	f.network.Partition("node1", true)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				if _, err := c.Get(context.Background(), "k"); errors.Is(err, client.ErrClosed) {
					return
				}
			}
		})
	}
	require.NoError(t, c.Close())
	wg.Wait()
}
