package loader_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// On real nodes, through clients with a near-cache that knows the generation and the
// values: what was invalidated at once is not read any more.
func TestInvalidateAllOnNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		o := newOrigin()
		var ns []*loader.Namespace[string]
		for range 2 {
			c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, HotKeys: &hotkey.Config{}, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, c.Close()) })
			ns = append(ns, namespace(t, c, o, loader.NamespaceConfig{Name: "ns", MaxAge: -1}))
		}
		for round := range scaled(10) {
			want := fmt.Sprint(round)
			for i := range 10 {
				o.set(fmt.Sprint(i), want)
			}
			require.NoError(t, ns[round%2].InvalidateAll(t.Context()))
			for range 20 { // hot enough for the near-cache
				for i := range 10 {
					for _, n := range ns {
						v, err := n.Get(t.Context(), fmt.Sprint(i))
						require.NoError(t, err)
						require.Equal(t, want, v)
					}
				}
			}
		}
	})
}
