package client_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// setters store one item, each in another way.
var setters = map[string]func(ctx context.Context, c *client.Client, it client.Item) error{
	"Set": func(ctx context.Context, c *client.Client, it client.Item) error {
		_, err := c.Set(ctx, it)
		return err
	},
	"SetMulti": func(ctx context.Context, c *client.Client, it client.Item) error {
		_, err := c.SetMulti(ctx, []client.Item{it})
		return err
	},
}

// A set that nobody knows the gutter has stored is not said not to have been sent.
func TestGutterAnUnansweredSetMayHaveHappened(t *testing.T) {
	for name, write := range setters {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 2, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
					if r.Cmd == memproto.CmdMetaSet && string(r.Value) == "new" {
						v.Delay = 200 * time.Millisecond
					}
					return v
				}})
				c := f.client(client.Config{Nodes: f.nodes()[:1], Gutter: f.nodes()[1:], Timeout: time.Second})
				defer closeFleet(t, f, c)
				set(t, c, "k", "old")
				require.NoError(t, c.Ping(t.Context()))
				f.network.Partition("node0", true)
				time.Sleep(5 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				err := write(ctx, c, client.Item{Key: "k", Value: []byte("new")})
				require.Error(t, err)
				require.False(t, client.SafeToRetry(err), "%v", err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				time.Sleep(time.Second)
				require.Equal(t, "new", get(t, c, "k"))
				f.network.Partition("node0", false)
				time.Sleep(5 * time.Second)
				it, err := c.Get(t.Context(), "k")
				require.ErrorIs(t, err, client.ErrCacheMiss, "%s", it.Value)
			})
		})
	}
}

// A gutter node is none of the fleet, by a later list as little as by the first.
func TestGutterNodesAreNotTakenIntoTheFleet(t *testing.T) {
	f := newMemFleet(t, 3, nodeserver.Config{})
	nodes := f.nodes()
	_, err := client.New(client.Config{Nodes: nodes, Gutter: nodes[2:]})
	require.ErrorIs(t, err, client.ErrConfig)
	c := f.client(client.Config{Nodes: nodes[:1], Gutter: nodes[2:]})
	require.ErrorIs(t, c.SetNodes(nodes), client.ErrConfig)
	require.Len(t, c.Nodes(), 2, "nothing has changed")
	require.NoError(t, c.SetNodes(nodes[:2]))
	require.Len(t, c.Nodes(), 3)
}

// Of two items one is on the gutter and the other nowhere: that is not said to have been sent to no node.
func TestGutterWhatIsThereWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		nodes := f.nodes()
		c := f.client(client.Config{Nodes: nodes[:1], Gutter: nodes[1:]})
		defer closeFleet(t, f, c)
		require.NoError(t, c.Ping(t.Context()))
		here, lost := onNode(t, []string{"node1"}, nodes[1:]), onNode(t, []string{"node2"}, nodes[1:])
		f.kill("node0")
		f.kill("node2")
		time.Sleep(3 * time.Second)
		outs, err := c.SetMulti(t.Context(), []client.Item{{Key: here, Value: []byte("v")}, {Key: lost, Value: []byte("v")}})
		require.True(t, outs[0].Gutter)
		require.Equal(t, client.Outcome{Copies: 1}, outs[1])
		require.ErrorIs(t, err, client.ErrNodeDown)
		require.ErrorIs(t, err, client.ErrPartial)
		require.False(t, client.SafeToRetry(err), "%v", err)
		require.Equal(t, "v", get(t, c, here))
	})
}
