package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// Whether Get tells a TTL does not depend on where the value comes from; GetTTL does wherever a node has told it.
func TestGetTellsNoTTLWhereverItReads(t *testing.T) {
	ctx := context.Background()
	for name, arrange := range map[string]func(t *testing.T, l *logged) *client.Client{
		"owner": func(t *testing.T, l *logged) *client.Client { return l.client(client.Config{ReplicationFactor: 2}) },
		"zone": func(t *testing.T, l *logged) *client.Client {
			nodes := l.nodes()
			nodes[0].Zone, nodes[1].Zone = "east", "west"
			c := l.client(client.Config{Nodes: nodes, ReplicationFactor: 2, ReadZone: nodes[0].Zone})
			if l.placed(2, "k")[0] == "node0" {
				require.NoError(t, c.Close())
				c = l.client(client.Config{Nodes: nodes, ReplicationFactor: 2, ReadZone: nodes[1].Zone})
			}
			return c
		},
		"restored": func(t *testing.T, l *logged) *client.Client {
			c := l.client(client.Config{ReplicationFactor: 2})
			require.NoError(t, c.Ping(t.Context()))
			owner := l.placed(2, "k")[0]
			_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("v"), TTL: time.Hour})
			require.NoError(t, err)
			l.kill(owner)
			l.restart(owner)
			back(t, c)
			return c
		},
	} {
		for way, read := range map[string]func(c *client.Client) (client.Item, error){
			"Get":     func(c *client.Client) (client.Item, error) { return c.Get(ctx, "k") },
			"GetInto": func(c *client.Client) (client.Item, error) { return c.GetInto(ctx, "k", nil) },
			"GetTTL":  func(c *client.Client) (client.Item, error) { return c.GetTTL(ctx, "k") },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 2)
					c := arrange(t, l)
					if name != "restored" {
						_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("v"), TTL: time.Hour})
						require.NoError(t, err)
					}
					it, err := read(c)
					require.NoError(t, err)
					require.Equal(t, "v", string(it.Value))
					if way == "GetTTL" {
						require.InDelta(t, time.Hour, it.TTL, float64(5*time.Second))
					} else {
						require.Zero(t, it.TTL)
					}
					l.closeAll(c)
				})
			})
		}
	}
}
