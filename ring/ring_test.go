package ring

import (
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func TestLookup(t *testing.T) {
	r := mustNew(t, Config{Nodes: Addrs("c", "a", "b"), Copies: 2})
	require.Equal(t, 3, r.Len())
	require.Equal(t, 2, r.Copies())
	for _, key := range []string{"", "user:42", "\x00\xff", string(make([]byte, 300))} {
		list := r.Lookup(key)
		require.Len(t, list, 2)
		require.Equal(t, 2, cap(list), "an append must not reach the next list")
		require.NotEqual(t, list[0], list[1])
		require.Equal(t, xxhash.Sum64String(key), r.Hash(key))
		require.Equal(t, list, r.LookupHash(r.Hash(key)))
		require.Equal(t, r.Nodes()[list[0]], r.Owner(key))
		require.Equal(t, r.Nodes()[list[1]], r.Node(list[1]))
	}
	require.Len(t, r.LookupHash(0), 2)
	require.Len(t, r.LookupHash(^uint64(0)), 2)
}

func TestLookupDoesNotAllocate(t *testing.T) {
	r := mustNew(t, Config{Nodes: Addrs("a", "b", "c"), Copies: 3})
	sum := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		sum += int(r.Lookup("user:42")[2]) + len(r.Owner("user:43").Name)
	}))
	require.Positive(t, sum)
}

func TestSingleNode(t *testing.T) {
	for _, p := range []Placement{Rendezvous, Classic, Ketama, KetamaHostPort} {
		r := mustNew(t, Config{Nodes: Addrs("only"), Placement: p})
		require.Equal(t, []uint16{0}, r.Lookup("any"))
		require.Equal(t, []float64{1}, r.Shares())
	}
}

// TestConcurrentUse has the race detector watch readers of one ring while others are built.
func TestConcurrentUse(t *testing.T) {
	cfg := Config{Nodes: Addrs("a", "b", "c", "d"), Copies: 2}
	r := mustNew(t, cfg)
	want := r.Owner("user:42")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			other, err := New(cfg)
			if err != nil || other.Fingerprint() != r.Fingerprint() || r.Owner("user:42") != want || other.Owner("user:42") != want {
				t.Errorf("a ring of the same nodes differs: %v, %v", other, err)
			}
		})
	}
	wg.Wait()
}

func TestFingerprint(t *testing.T) {
	base := Config{Nodes: []Node{{Addr: "a", Zone: "1"}, {Addr: "b", Zone: "1"}, {Addr: "c", Zone: "2"}}, Copies: 2}
	want := mustNew(t, base).Fingerprint()
	same := map[string]Config{
		"order":       {Nodes: []Node{base.Nodes[2], base.Nodes[0], base.Nodes[1]}, Copies: 2},
		"address":     with(base, 0, func(n *Node) { n.Name, n.Addr = "a", "10.0.0.1" }),
		"spelling":    with(base, 0, func(n *Node) { n.Addr = "A:11211" }),
		"weight 1":    with(base, 0, func(n *Node) { n.Weight = 1 }),
		"drained":     {Nodes: append([]Node{{Addr: "aa", Zone: "3", Drain: true}}, base.Nodes...), Copies: 2},
		"zone's name": with(base, 2, func(n *Node) { n.Zone = "two" }),
	}
	for what, cfg := range same {
		require.Equal(t, want, mustNew(t, cfg).Fingerprint(), what)
	}
	different := map[string]Config{
		"name":      with(base, 0, func(n *Node) { n.Name, n.Addr = "x", "a" }),
		"weight":    with(base, 0, func(n *Node) { n.Weight = 2 }),
		"zone":      with(base, 1, func(n *Node) { n.Zone = "2" }),
		"copies":    {Nodes: base.Nodes, Copies: 1},
		"placement": {Nodes: base.Nodes, Copies: 2, Placement: Classic},
		"ketama":    {Nodes: base.Nodes, Copies: 2, Placement: Ketama},
		"labels":    {Nodes: base.Nodes, Copies: 2, Placement: KetamaHostPort},
		"key tag":   {Nodes: base.Nodes, Copies: 2, KeyTag: "{}"},
		"other tag": {Nodes: base.Nodes, Copies: 2, KeyTag: "[]"},
		"both":      {Nodes: base.Nodes, Copies: 2, Placement: Ketama, KeyTag: "{}"},
		"points":    {Nodes: base.Nodes, Copies: 2, Placement: Classic, VirtualNodes: 159},
		"one less":  without(base, 0),
	}
	seen := map[uint64]string{want: "base"}
	for what, cfg := range different {
		fp := mustNew(t, cfg).Fingerprint()
		require.NotContains(t, seen, fp, "%s is like %s", what, seen[fp])
		seen[fp] = what
	}
	require.Contains(t, mustNew(t, base).String(), "ring of 3 nodes, 2 copies, fingerprint ")
}
