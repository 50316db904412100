package ring

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// span is a part of the slots: enough to check a rule on, quick to compile.
type span struct{ first, last int }

func drawSpan(t *rapid.T) span {
	first := rapid.IntRange(0, slotCount-1).Draw(t, "first slot")
	return span{first, min(first+200, slotCount)}
}

// lists returns the node lists, by name, of the span's slots.
func (s span) lists(t require.TestingT, cfg Config) [][]string {
	p, err := cfg.plan()
	require.NoError(t, err)
	var f filler = newRendezvous(p)
	if cfg.Placement == Classic {
		f = newClassic(p)
	}
	return s.listsOf(p, f)
}

func (s span) listsOf(p *plan, f filler) [][]string {
	out := make([]uint16, (s.last-s.first)*p.copies)
	f.fill(out, s.first, s.last)
	lists := make([][]string, 0, s.last-s.first)
	for l := range slices.Chunk(out, p.copies) {
		names := make([]string, len(l))
		for i, n := range l {
			names[i] = p.node(int(n)).Name
		}
		lists = append(lists, names)
	}
	return lists
}

// traits say what a drawn fleet may have.
type traits struct{ weights, zones, drains bool }

// drawConfig draws a fleet of 2 to 24 nodes, at least two of which take keys, with
// any valid number of copies up to 8.
func drawConfig(t *rapid.T, has traits) Config {
	n := rapid.IntRange(2, 24).Draw(t, "nodes")
	naming := rapid.IntRange(0, len(namings)-1).Draw(t, "naming")
	zones := 0
	if has.zones {
		zones = rapid.IntRange(0, 5).Draw(t, "zones")
	}
	nodes := make([]Node, n)
	active := 0
	for i := range nodes {
		nodes[i].Addr = namings[naming](naming, i)
		if has.weights {
			nodes[i].Weight = rapid.SampledFrom([]int{0, 1, 1, 2, 3, 7, 100}).Draw(t, "weight")
		}
		if zones > 0 {
			nodes[i].Zone = fmt.Sprint("z", rapid.IntRange(1, zones).Draw(t, "zone"))
		}
		if has.drains && i >= 2 {
			nodes[i].Drain = rapid.IntRange(0, 3).Draw(t, "drain") == 0
		}
		if !nodes[i].Drain {
			active++
		}
	}
	return Config{
		Nodes:        nodes,
		Placement:    rapid.SampledFrom([]Placement{Rendezvous, Classic}).Draw(t, "placement"),
		Copies:       rapid.IntRange(1, min(active, 8)).Draw(t, "copies"),
		VirtualNodes: rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "virtual nodes"),
	}
}

// with returns cfg with the i-th node changed; without leaves the node out.
func with(cfg Config, i int, change func(*Node)) Config {
	cfg.Nodes = slices.Clone(cfg.Nodes)
	change(&cfg.Nodes[i])
	return cfg
}

func without(cfg Config, i int) Config {
	cfg.Nodes = slices.Delete(slices.Clone(cfg.Nodes), i, i+1)
	return cfg
}

// name is the canonical name of cfg's i-th node.
func name(t require.TestingT, cfg Config, i int) string {
	n, err := cfg.Nodes[i].Canonical()
	require.NoError(t, err)
	return n.Name
}

// minus is list without one name.
func minus(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
}

func mustNew(t testing.TB, cfg Config) *Ring {
	t.Helper()
	r, err := New(cfg)
	require.NoError(t, err)
	return r
}

// TestLightAmongHeavy: a fleet whose weights differ by thousands compiles as fast as others. It took minutes: from each point
// of the heavy nodes the ring was followed up to the next point of the light one.
func TestLightAmongHeavy(t *testing.T) {
	for _, cfg := range []Config{{Placement: Classic}, {Placement: Ketama, VirtualNodes: 160}} {
		cfg.Copies = 3
		for _, n := range []struct {
			name   string
			weight int
		}{{"a", 12_000}, {"b", 12_000}, {"c", 1}} {
			cfg.Nodes = append(cfg.Nodes, Node{Name: n.name, Weight: n.weight})
		}
		start := time.Now()
		r, err := New(cfg)
		require.NoError(t, err)
		require.Less(t, time.Since(start), time.Minute, "%v", cfg.Placement)
		for i := range 1000 {
			list := slices.Clone(r.Lookup(strconv.Itoa(i)))
			slices.Sort(list)
			require.Equal(t, []uint16{0, 1, 2}, list)
		}
	}
}
