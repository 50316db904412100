package client

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/ring"
)

// Suffix copies are the same for every client, however its list of nodes is ordered: who deletes a key deletes those that others have filled.
// They are spread evenly over nodes that bear none of the key's own copies, and more than one each where there are not enough.
func TestSuffixCopiesAreTheSameForAll(t *testing.T) {
	var nodes []ring.Node
	for i := range 10 {
		nodes = append(nodes, ring.Node{Name: fmt.Sprint("node", i), Addr: fmt.Sprintf("node%d:1", i)})
	}
	a, err := ring.New(ring.Config{Nodes: nodes, Copies: 2})
	require.NoError(t, err)
	slices.Reverse(nodes)
	b, err := ring.New(ring.Config{Nodes: nodes, Copies: 2})
	require.NoError(t, err)
	for i := range 200 {
		key := fmt.Sprint("key", i)
		hash := a.Hash(key)
		mine, theirs := suffixed(a, hash, key, 8), suffixed(b, hash, key, 8)
		bears := map[string]int{}
		for _, at := range a.LookupHash(hash) {
			bears[a.Node(at).Name]++
		}
		names := map[string]bool{}
		for j := range mine {
			require.Equal(t, theirs[j].key, mine[j].key)
			require.Equal(t, theirs[j].hash, mine[j].hash)
			node := a.Node(a.LookupHash(mine[j].hash)[0]).Name
			require.Equal(t, b.Node(b.LookupHash(theirs[j].hash)[0]).Name, node)
			bears[node]++
			names[mine[j].key] = true
			require.LessOrEqual(t, len(mine[j].key)-len(key), maxSuffix)
		}
		require.Len(t, names, 8)
		most := 0
		for _, n := range bears {
			most = max(most, n)
		}
		require.LessOrEqual(t, most, 2, "two and eight copies on ten nodes: %v", bears)
	}
	key := string(make([]byte, memproto.MaxKeyLen-maxSuffix))
	all := suffixed(a, 1, key, 64)
	for i := range all {
		require.LessOrEqual(t, len(all[i].key), memproto.MaxKeyLen)
	}
}
