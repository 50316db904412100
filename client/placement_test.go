package client_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// Every placement, with key tags and without, with one hash for placing, counting and the
// near-cache: values come back, each from the nodes the ring names and no other, and keys
// of one tag stay apart in memory.
func TestPlacements(t *testing.T) {
	for _, p := range []ring.Placement{ring.Rendezvous, ring.Classic, ring.Ketama, ring.KetamaHostPort} {
		for _, tag := range []string{"", "{}"} {
			t.Run(p.String()+tag, func(t *testing.T) {
				f := newMemFleet(t, 4, nodeserver.Config{})
				cfg := client.Config{Placement: p, KeyTag: tag, ReplicationFactor: 2, HotKeys: &hotkey.Config{}}
				c := f.client(cfg)
				r := ringOf(t, ring.Config{Nodes: f.nodes(), Placement: p, KeyTag: tag, Copies: 2})
				own := make([]*client.Client, r.Len()) // a client of each node alone
				for i, n := range r.Nodes() {
					own[i] = f.client(client.Config{Nodes: []ring.Node{n}})
				}
				owners := make(map[uint16]bool)
				for i := range 60 {
					key := fmt.Sprintf("{user:%d}:page:%d", i%20, i)
					set(t, c, key, key)
					for range 3 {
						require.Equal(t, key, get(t, c, key))
					}
					list := r.Lookup(key)
					owners[list[0]] = true
					for n := range own {
						_, err := own[n].Get(context.Background(), key)
						if uint16(n) == list[0] || uint16(n) == list[1] {
							require.NoError(t, err)
						} else {
							require.ErrorIs(t, err, client.ErrCacheMiss)
						}
					}
					if tag != "" {
						require.Equal(t, r.Lookup(fmt.Sprintf("user:%d", i%20)), list)
					}
				}
				require.Greater(t, len(owners), 1)
			})
		}
	}
}
