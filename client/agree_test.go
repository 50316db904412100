package client_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// differences collects what a client is told of other clients' placements.
type differences struct {
	mu   sync.Mutex // guards seen
	seen map[string][2]string
}

func (d *differences) hooks() client.Hooks {
	d.seen = map[string][2]string{}
	return client.Hooks{PlacementDiffers: func(node, ours, theirs string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.seen[node] = [2]string{ours, theirs}
	}}
}

func (d *differences) nodes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

// Two services with different lists of nodes, or two copies here and three there: both are
// told, for each node that they share; and no longer once one of them has gone.
func TestRule17PlacementsAreCompared(t *testing.T) {
	for name, other := range map[string]func(nodes []ring.Node) client.Config{
		"other nodes":  func(nodes []ring.Node) client.Config { return client.Config{Nodes: nodes[:2]} },
		"other copies": func(nodes []ring.Node) client.Config { return client.Config{Nodes: nodes, ReplicationFactor: 2} },
		"other tags":   func(nodes []ring.Node) client.Config { return client.Config{Nodes: nodes, KeyTag: "{}"} },
		"the same":     func(nodes []ring.Node) client.Config { return client.Config{Nodes: nodes} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				var first, second differences
				a := f.client(client.Config{Hooks: first.hooks()})
				require.NoError(t, a.Ping(t.Context()))
				time.Sleep(5 * time.Second)
				cfg := other(f.nodes())
				cfg.Hooks = second.hooks()
				b := f.client(cfg)
				require.NoError(t, b.Ping(t.Context()))
				shared := len(b.Nodes())
				differs := func(c *client.Client) (n int) {
					for _, s := range c.Nodes() {
						if s.PlacementDiffers {
							n++
						}
					}
					return n
				}
				time.Sleep(client.DefaultAnnounce / 2)
				require.Zero(t, first.nodes(), "a change would look like this")
				time.Sleep(time.Minute)
				synctest.Wait()
				want := shared
				if name == "the same" {
					want = 0
					require.Zero(t, a.Counters().Differed+b.Counters().Differed)
				}
				require.Equal(t, want, first.nodes())
				require.Equal(t, want, second.nodes())
				require.Equal(t, want, differs(a))
				require.Equal(t, want, differs(b))
				for node, seen := range first.seen {
					require.Equal(t, seen, [2]string{second.seen[node][1], second.seen[node][0]})
				}
				require.NoError(t, b.Close())
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Zero(t, differs(a))
				closeFleet(t, f, a)
			})
		})
	}
}

// A change that clients learn of one after the other is no disagreement.
func TestRule17AChangeIsNoDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		var seen [3]differences
		var clients []*client.Client
		for i := range seen {
			clients = append(clients, f.client(client.Config{Nodes: f.nodes()[:3], ReplicationFactor: 2, Hooks: seen[i].hooks()}))
			require.NoError(t, clients[i].Ping(t.Context()))
		}
		for i := range 6 {
			for j, c := range clients {
				require.NoError(t, c.SetNodes(f.nodes()[i%2:3+i%2]))
				if j < len(clients)-1 {
					time.Sleep(client.DefaultAnnounce/4 + time.Second)
				}
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		for i := range seen {
			require.Zero(t, seen[i].nodes())
			require.NotZero(t, clients[i].Counters().Differed)
		}
		closeFleet(t, f, clients...)
	})
}

// The comparison on a real memcached, beside the sentinel.
func TestRule17PlacementsOnMemcached(t *testing.T) {
	ctx := context.Background()
	nodes := ring.Addrs(stock.ForTest(t).Addr(), stock.ForTest(t).Addr())
	c, err := client.New(client.Config{Nodes: nodes, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Ping(ctx))
	raw, err := client.New(client.Config{Nodes: nodes[:1], EpochKey: client.NoEpoch})
	require.NoError(t, err)
	defer raw.Close()
	var it client.Item
	require.Eventually(t, func() bool {
		it, err = raw.Get(ctx, client.DefaultEpochKey+":placement")
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	require.Regexp(t, `^[0-9a-f]{16} \d{13}$`, string(it.Value))
}
