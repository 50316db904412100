package discovery_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/discovery"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// told is a source that says what the test tells it.
type told struct {
	mu    sync.Mutex // guards nodes
	nodes []string
}

func (s *told) Nodes(context.Context) ([]ring.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ring.Addrs(s.nodes...), nil
}

func (s *told) say(nodes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = nodes
}

// TestNodesLeaveARealClient: what a client says of its nodes is what the rules need. A node
// that works stays though nothing lists it, whether it is talked to or not; one that is
// killed or hangs leaves, whether anybody noticed or not; one that was only cut off for a
// while stays.
func TestNodesLeaveARealClient(t *testing.T) {
	for _, used := range []bool{false, true} {
		t.Run(fmt.Sprint("used=", used), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { nodesLeave(t, used) })
		})
	}
}

func nodesLeave(t *testing.T, used bool) {
	network := nodeserver.NewMemNetwork()
	all := []string{"listed", "works", "killed", "hung", "blinks"}
	for _, name := range all {
		s, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: name + ":11211"})
		require.NoError(t, err)
		defer s.Close()
	}
	src := &told{}
	src.say(all...)
	ctx := context.Background()
	c, f, err := discovery.NewClient(ctx, client.Config{DialContext: network.DialContext}, src, discovery.Config{})
	require.NoError(t, err)
	defer c.Close()
	defer f.Close()
	if used {
		require.NoError(t, c.Ping(ctx))
	}
	fleet := func() []string {
		var names []string
		for _, s := range c.Nodes() {
			if s.Leaving {
				continue
			}
			names = append(names, s.Node.Name)
		}
		return names
	}
	missing := func() (names []string) {
		for _, m := range f.State().Missing {
			names = append(names, m.Node.Name)
		}
		return names
	}

	src.say("listed")
	time.Sleep(10 * discovery.DefaultInterval)
	synctest.Wait()
	require.Len(t, fleet(), len(all), "all work")
	require.Equal(t, []string{"blinks", "hung", "killed", "works"}, missing())

	network.Kill("killed:11211")
	network.Partition("hung:11211", true)
	network.Partition("blinks:11211", true)
	time.Sleep(discovery.DefaultInterval * 12 / 10) // at least one answer, two at most
	network.Partition("blinks:11211", false)
	require.Len(t, fleet(), len(all), "not before the third answer")
	time.Sleep(4 * discovery.DefaultInterval)
	synctest.Wait()
	require.Equal(t, []string{"blinks", "listed", "works"}, fleet())
	require.Equal(t, []string{"blinks", "works"}, missing())

	require.NoError(t, f.Release("works"))
	time.Sleep(discovery.DefaultCoalesce + time.Second)
	synctest.Wait()
	require.False(t, slices.Contains(fleet(), "works"))
	network.Partition("hung:11211", false)
}

// TestGutterNodesAreNoMembers: gutter nodes stay beside the fleet that is followed, whatever its source says of it.
func TestGutterNodesAreNoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := nodeserver.NewMemNetwork()
		for _, name := range []string{"a", "b", "spare"} {
			s, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: name + ":11211"})
			require.NoError(t, err)
			defer s.Close()
		}
		src := &told{}
		src.say("a")
		c, f, err := discovery.NewClient(t.Context(), client.Config{DialContext: network.DialContext, Gutter: ring.Addrs("spare")}, src, discovery.Config{})
		require.NoError(t, err)
		defer c.Close()
		defer f.Close()
		time.Sleep(2 * discovery.DefaultInterval)
		synctest.Wait()
		require.NoError(t, f.State().Err, "nothing is missing")
		src.say("a", "b")
		time.Sleep(10 * discovery.DefaultInterval)
		synctest.Wait()
		var members []string
		for _, s := range c.Nodes() {
			if !s.Gutter {
				members = append(members, s.Node.Name)
			}
		}
		require.Equal(t, []string{"a", "b"}, members)
	})
}

// moved is a source of nodes with names of their own, that is not the operator's word.
type moved struct {
	mu    sync.Mutex // guards nodes
	nodes []ring.Node
}

func (s *moved) Nodes(context.Context) ([]ring.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes, nil
}

func (s *moved) say(nodes ...ring.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = nodes
}

// TestAMovedNodeThatWorksStays: that nobody answers at a node's old address does not make it one that is down.
func TestAMovedNodeThatWorksStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := nodeserver.NewMemNetwork()
		for _, name := range []string{"a", "old", "new"} {
			s, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: name + ":11211"})
			require.NoError(t, err)
			defer s.Close()
		}
		a := ring.Node{Name: "a", Addr: "a:11211"}
		src := &moved{}
		src.say(a, ring.Node{Name: "x", Addr: "old:11211"})
		c, f, err := discovery.NewClient(t.Context(), client.Config{DialContext: network.DialContext}, src, discovery.Config{})
		require.NoError(t, err)
		defer c.Close()
		defer f.Close()
		require.NoError(t, c.Ping(t.Context()))
		network.Kill("old:11211")
		src.say(a, ring.Node{Name: "x", Addr: "new:11211"})
		time.Sleep(6 * discovery.DefaultInterval)
		require.NoError(t, c.Ping(t.Context()))
		src.say(a)
		time.Sleep(10 * discovery.DefaultInterval)
		synctest.Wait()
		require.Len(t, f.State().Nodes, 2, "it works where it is now")
		require.ErrorIs(t, f.State().Err, discovery.ErrMissing)
	})
}
