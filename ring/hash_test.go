package ring

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestKeyTag(t *testing.T) {
	for _, tc := range []struct{ tag, key, of string }{
		{"{}", "user:42", "user:42"},
		{"{}", "{user:42}:profile", "user:42"},
		{"{}", "profile:{user:42}", "user:42"},
		{"{}", "a{b}{c}", "b"},
		{"{}", "a{{b}}", "{b"},
		{"{}", "a{}b{c}", "a{}b{c}"}, // the first pair counts, and it is empty
		{"{}", "a}b{c", "a}b{c"},
		{"{}", "}{x}", "x"},
		{"{}", "", ""},
		{"{}", "{", "{"},
		{"$$", "user:$42$:profile", "42"},
		{"$$", "$$x$", "$$x$"},
		{"[:", "a[b:c", "b"},
	} {
		require.Equal(t, tc.of, keyTag{tc.tag[0], tc.tag[1]}.of(tc.key), "%s of %s", tc.tag, tc.key)
	}
	r := mustNew(t, Config{Nodes: Addrs("a", "b")})
	require.Equal(t, xxhash.Sum64String("{user:42}:profile"), r.Hash("{user:42}:profile"), "off unless asked for")
}

// TestKeyTags: on every placement, keys of one tag are where the tag itself is, and their
// hashes tell them apart; a key without a tag is where it is on a ring without tags.
func TestKeyTags(t *testing.T) {
	rings := make(map[Placement][2]*Ring) // without tags and with
	for p := range placementNames {
		cfg := Config{Nodes: namedFleet(1, 9), Placement: Placement(p), Copies: 3}
		plain := mustNew(t, cfg)
		cfg.KeyTag = "{}"
		rings[Placement(p)] = [2]*Ring{plain, mustNew(t, cfg)}
	}
	rapid.Check(t, func(t *rapid.T) {
		pair := rings[Placement(rapid.IntRange(0, len(placementNames)-1).Draw(t, "placement"))]
		plain, tagged := pair[0], pair[1]
		tag := rapid.StringMatching(`[a-z:{]{1,20}`).Draw(t, "tag")
		before := rapid.StringMatching(`[a-z:}]{0,10}`).Draw(t, "before")
		after := rapid.StringMatching(`[a-z:{}]{0,10}`).Draw(t, "after")
		key := before + "{" + tag + "}" + after
		require.Equal(t, plain.Lookup(tag), tagged.Lookup(key))
		require.Equal(t, tagged.Lookup(key), tagged.LookupHash(tagged.Hash(key)))
		require.Equal(t, uint32(xxhash.Sum64String(key)), uint32(tagged.Hash(key)), "the lower bits are of the whole key")
		none := strings.ReplaceAll(key, "}", "")
		require.Equal(t, plain.Hash(none), tagged.Hash(none))
		require.Equal(t, plain.Lookup(none), tagged.Lookup(none))
	})
	for p, pair := range rings {
		hashes := make(map[uint64]bool)
		for i := range 10_000 {
			hashes[pair[1].Hash(fmt.Sprintf("{user:42}:%d", i))] = true
		}
		// 44 bits tell the keys of one tag apart on a slot table, 32 on a ketama ring.
		require.GreaterOrEqual(t, len(hashes), 9_999, "%v", p)
		require.Zero(t, testing.AllocsPerRun(10, func() { _ = pair[1].Lookup("{user:42}:profile")[2] }))
	}
}

func TestWithNodes(t *testing.T) {
	cfg := Config{Nodes: Addrs("a", "b", "c"), Placement: Classic, Copies: 2, VirtualNodes: 40, KeyTag: "{}"}
	r := mustNew(t, cfg)
	cfg.Nodes = Addrs("a", "b", "d")
	other, err := r.WithNodes(cfg.Nodes)
	require.NoError(t, err)
	require.Equal(t, mustNew(t, cfg).Fingerprint(), other.Fingerprint())
	_, err = other.WithNodes(Addrs("a"))
	require.ErrorIs(t, err, ErrTooFewNodes)
}

// Nodes that have moved, and nothing else, cost no table; whatever else is changed with an address does.
func TestWithNodesElsewhere(t *testing.T) {
	for _, p := range []Placement{Rendezvous, Classic, Ketama, KetamaHostPort} {
		names := []string{"a:1", "b:1", "c:1", "d:1"}
		nodes := func(port int) (nodes []Node) {
			for i, name := range names {
				nodes = append(nodes, Node{Name: name, Addr: fmt.Sprint("h:", port+i), Drain: i == 3})
			}
			return nodes
		}
		r := mustNew(t, Config{Nodes: nodes(1), Placement: p, Copies: 2})
		moved, err := r.WithNodes(nodes(2))
		require.NoError(t, err)
		again := mustNew(t, Config{Nodes: nodes(2), Placement: p, Copies: 2})
		require.Equal(t, again.Nodes(), moved.Nodes())
		require.Equal(t, again.Fingerprint(), moved.Fingerprint())
		require.Equal(t, again.Shares(), moved.Shares())
		require.Same(t, &r.table[0], &moved.table[0])
		require.Equal(t, nodes(1)[0].Addr, r.Node(0).Addr)
		back, err := moved.WithNodes(nodes(1))
		require.NoError(t, err)
		require.Same(t, r, back.like)
		for what, change := range map[string]func(n *Node){
			"name":   func(n *Node) { n.Name = "e:1" },
			"weight": func(n *Node) { n.Weight = 2 },
			"drain":  func(n *Node) { n.Drain = false },
		} {
			if p == KetamaHostPort && what == "weight" {
				continue
			}
			other := nodes(2)
			change(&other[3])
			r, err := moved.WithNodes(other)
			require.NoError(t, err, what)
			again := mustNew(t, Config{Nodes: other, Placement: p, Copies: 2})
			require.Equal(t, again.Fingerprint(), r.Fingerprint(), what)
			require.Equal(t, again.Nodes(), r.Nodes(), what)
		}
		zoned := nodes(2)
		for i := range zoned {
			zoned[i].Zone = fmt.Sprint(i % 2)
		}
		inZones, err := moved.WithNodes(zoned)
		if err == nil {
			require.Equal(t, mustNew(t, Config{Nodes: zoned, Placement: p, Copies: 2}).Fingerprint(), inZones.Fingerprint())
		}
	}
}
