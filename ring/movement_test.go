package ring

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestInputOrder: the order in which nodes are listed doesn't matter.
func TestInputOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{true, true, true}), drawSpan(t)
		want := s.lists(t, cfg)
		cfg.Nodes = rapid.Permutation(cfg.Nodes).Draw(t, "order")
		require.Equal(t, want, s.lists(t, cfg))
	})
}

// TestLeave: a node that leaves moves exactly its own slots, each to the next node of
// its list, and every list loses that node alone. Read backwards, the same is true
// of a node that joins.
func TestLeave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{weights: true}), drawSpan(t)
		i := rapid.IntRange(0, len(cfg.Nodes)-1).Draw(t, "leaves")
		cfg.Copies = min(cfg.Copies, len(cfg.Nodes)-1)
		gone := name(t, cfg, i)
		before, after := s.lists(t, cfg), s.lists(t, without(cfg, i))
		for j := range before {
			stay := minus(before[j], gone)
			require.Equal(t, stay, after[j][:len(stay)], "of %v", before[j])
		}
	})
}

// TestLeaveZones: with zones the place of a node that leaves may go to a node that its
// zone had kept out, but no other node loses its place in a list.
func TestLeaveZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{weights: true, zones: true}), drawSpan(t)
		i := rapid.IntRange(0, len(cfg.Nodes)-1).Draw(t, "leaves")
		cfg.Copies = min(cfg.Copies, len(cfg.Nodes)-1)
		gone := name(t, cfg, i)
		before, after := s.lists(t, cfg), s.lists(t, without(cfg, i))
		for j := range before {
			if !slices.Contains(before[j], gone) {
				require.Equal(t, before[j], after[j])
				continue
			}
			require.Subset(t, after[j], minus(before[j], gone))
		}
	})
}

// TestDrain: draining a node is, for the keys, the same as removing it.
func TestDrain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{true, true, false}), drawSpan(t)
		i := rapid.IntRange(0, len(cfg.Nodes)-1).Draw(t, "drained")
		cfg.Copies = min(cfg.Copies, len(cfg.Nodes)-1)
		drained := with(cfg, i, func(n *Node) { n.Drain = true })
		require.Equal(t, s.lists(t, without(cfg, i)), s.lists(t, drained))
	})
}

// TestReweigh: a node's weight moves that node in the order of all nodes and leaves
// the order of the others alone.
func TestReweigh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{weights: true}), drawSpan(t)
		cfg.Copies = len(cfg.Nodes)
		i := rapid.IntRange(0, len(cfg.Nodes)-1).Draw(t, "changed")
		from := max(cfg.Nodes[i].Weight, 1)
		to := rapid.IntRange(1, 200).Draw(t, "new weight")
		heavier := with(cfg, i, func(n *Node) { n.Weight = max(from, to) })
		lighter := with(cfg, i, func(n *Node) { n.Weight = min(from, to) })
		changed := name(t, cfg, i)
		light, heavy := s.lists(t, lighter), s.lists(t, heavier)
		for j := range light {
			require.Equal(t, minus(light[j], changed), minus(heavy[j], changed))
			require.LessOrEqual(t, slices.Index(heavy[j], changed), slices.Index(light[j], changed),
				"more weight never means a later place")
		}
	})
}

// TestScaledWeights: weights count relative to each other only, to the last slot.
func TestScaledWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{weights: true, zones: true}), drawSpan(t)
		cfg.Placement = Rendezvous // more points move keys on the classic ring
		by := rapid.IntRange(1, MaxWeight/100).Draw(t, "factor")
		scaled := cfg
		scaled.Nodes = slices.Clone(cfg.Nodes)
		for i := range scaled.Nodes {
			scaled.Nodes[i].Weight = max(scaled.Nodes[i].Weight, 1) * by
		}
		require.Equal(t, s.lists(t, cfg), s.lists(t, scaled))
	})
}

// TestWholeRing checks on complete rings, through the public calls, what the tests
// above check on parts: the slots that move are those of the node that leaves, and
// the fingerprint says whether any did.
func TestWholeRing(t *testing.T) {
	for _, p := range []Placement{Rendezvous, Classic} {
		cfg := Config{Nodes: namedFleet(2, 6), Placement: p, Copies: 2}
		all, fewer := mustNew(t, cfg), mustNew(t, without(cfg, 4))
		drained := mustNew(t, with(cfg, 4, func(n *Node) { n.Drain = true }))
		gone := name(t, cfg, 4)
		moved, owned := 0, 0
		for slot := range uint64(slotCount) {
			h := slot << slotShift
			was, now := all.LookupHash(h), fewer.LookupHash(h)
			owner, next := all.Node(was[0]).Name, all.Node(was[1]).Name
			if owner == gone {
				owned++
				owner = next
			}
			if all.Node(was[0]).Name != fewer.Node(now[0]).Name {
				moved++
			}
			if owner != fewer.Node(now[0]).Name || owner != drained.Node(drained.LookupHash(h)[0]).Name {
				t.Fatalf("%v: slot %d went to %s instead of %s", p, slot, fewer.Node(now[0]).Name, owner)
			}
		}
		require.Equal(t, owned, moved)
		require.InDelta(t, 1.0/6, float64(owned)/slotCount, 0.05)
		require.NotEqual(t, all.Fingerprint(), fewer.Fingerprint())
		require.Equal(t, fewer.Fingerprint(), drained.Fingerprint())
		require.Zero(t, drained.Shares()[slices.IndexFunc(drained.Nodes(), func(n Node) bool { return n.Drain })])
	}
}
