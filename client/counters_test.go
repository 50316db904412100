package client_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// TestCountersNeverGoDown: to whoever reads them meanwhile, a lease that is answered by another copy was no miss before. What scrapes counters
// takes one that is lower than before for that of a new process, and adds the whole of it.
func TestCountersNeverGoDown(t *testing.T) {
	for name, lease := range map[string]func(t *testing.T, c *client.Client) client.Lease{
		"Lease": func(t *testing.T, c *client.Client) client.Lease {
			l, err := c.Lease(t.Context(), "k", client.LeaseOptions{})
			require.NoError(t, err)
			return l
		},
		"LeaseMulti": func(t *testing.T, c *client.Client) client.Lease {
			ls, errs := c.LeaseMulti(t.Context(), []string{"k"}, client.LeaseOptions{})
			require.NoError(t, errs[0])
			return ls[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(c)
				set(t, c, "k", "v")
				owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
				l.renew(t, c, owner)
				before := c.Counters()
				var most atomic.Uint64
				l.decide(func(node string, _ *memproto.Request) (v nodeserver.Verdict) {
					if node == other {
						most.Store(max(most.Load(), c.Counters().Misses))
					}
					return v
				})
				require.Equal(t, item.LeaseHit, lease(t, c).State)
				after := c.Counters()
				require.Equal(t, before.Misses, after.Misses)
				require.Equal(t, before.NodeHits+1, after.NodeHits)
				require.Equal(t, before.Misses, most.Load(), "while the other copy was asked")

				_, err := c.Delete(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, item.LeaseWon, lease(t, c).State)
				require.Equal(t, after.Misses+1, c.Counters().Misses)
				require.Equal(t, item.LeaseWait, lease(t, c).State)
				require.Equal(t, after.Misses+2, c.Counters().Misses)
			})
		})
	}
}
