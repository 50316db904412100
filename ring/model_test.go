package ring

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// spread over zones, the plain way: nodes in order, first of each zone first.
func modelZones(order []Node, copies int) []string {
	var first, rest []string
	seen := make(map[string]bool)
	for _, n := range order {
		if n.Zone == "" || !seen[n.Zone] {
			seen[n.Zone] = true
			first = append(first, n.Name)
		} else {
			rest = append(rest, n.Name)
		}
	}
	return append(first, rest...)[:copies]
}

// modelRendezvous sorts all nodes by their candidates.
func modelRendezvous(p *plan, slot int) []Node {
	logs := newLogTable()
	sa, sb := slotSeeds(slot)
	type ranked struct {
		candidate
		Node
	}
	var all []ranked
	for i := range p.active {
		n := *p.node(i)
		name := xxhash.Sum64String(n.Name)
		h := score(&member{a: name, b: mix64(name)}, sa, sb)
		all = append(all, ranked{candidate{h, logs.cost(h), uint32(n.Weight), uint16(i)}, n})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		if a.before(&b.candidate) {
			return -1
		}
		return 1
	})
	order := make([]Node, len(all))
	for i := range all {
		order[i] = all[i].Node
	}
	return order
}

// modelClassic follows the ring of all points once around.
func modelClassic(p *plan, slot int) []Node {
	type pt struct {
		hash uint64
		node Node
	}
	var pts []pt
	for i := range p.active {
		n := *p.node(i)
		for v := range n.Weight * p.vnodes {
			pts = append(pts, pt{xxhash.Sum64String(fmt.Sprintf("%s-%d", n.Name, v)), n})
		}
	}
	slices.SortFunc(pts, func(a, b pt) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.node.Name, b.node.Name))
	})
	at := max(0, slices.IndexFunc(pts, func(p pt) bool { return p.hash >= slotPlace(slot) }))
	var order []Node
	for _, p := range slices.Concat(pts[at:], pts[:at]) {
		if !slices.Contains(order, p.node) {
			order = append(order, p.node)
		}
	}
	return order
}

// TestModel compares both placements, in all their variety, with models that sort
// everything and choose afterwards.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t, traits{true, true, true})
		p, err := cfg.plan()
		require.NoError(t, err)
		first := rapid.OneOf(rapid.IntRange(0, slotCount-4), rapid.Just(0), rapid.Just(slotCount-4)).Draw(t, "first slot")
		s := span{first, first + 4}
		for i, got := range s.lists(t, cfg) {
			order := modelRendezvous
			if cfg.Placement == Classic {
				order = modelClassic
			}
			require.Equal(t, modelZones(order(p, first+i), p.copies), got, "slot %d", first+i)
		}
	})
}

// TestPlain: the short cut for fleets without weights and zones gives the lists
// of the general way, and so does the general way with equal weights spelled out.
func TestPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "nodes")
		copies := rapid.IntRange(1, min(n, MaxCopies)).Draw(t, "copies")
		s := drawSpan(t)
		p, err := Config{Nodes: namedFleet(3, n), Copies: copies}.plan()
		require.NoError(t, err)
		quick := newRendezvous(p)
		require.IsType(t, plain{}, quick)
		general := rendezvousOf(p)
		want := s.listsOf(p, general)
		require.Equal(t, want, s.listsOf(p, quick))
		general.logs = newLogTable()
		require.Equal(t, want, s.listsOf(p, general), "ranked by cost")
	})
}

// TestZones: no two nodes of a list share a zone before the list has every zone.
func TestZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, s := drawConfig(t, traits{true, true, true}), drawSpan(t)
		p, err := cfg.plan()
		require.NoError(t, err)
		zone := make(map[string]string)
		for _, n := range p.nodes {
			zone[n.Name] = n.Zone
		}
		for _, list := range s.lists(t, cfg) {
			seen := make(map[string]bool)
			for _, n := range list[:min(len(list), p.zones)] {
				if zone[n] != "" {
					require.False(t, seen[zone[n]], "%v has zone %s twice", list, zone[n])
				}
				seen[zone[n]] = true
			}
			slices.Sort(list)
			require.Len(t, slices.Compact(slices.Clone(list)), len(list), "a node twice in %v", list)
		}
	})
}
