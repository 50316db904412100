package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/memherd/memherd/ring"
)

// floors are the rendezvous placement's, by number of nodes: of the largest share, and of the
// largest heir.
var floors = map[int][2]float64{10: {1.015, 1.05}, 100: {1.07, 1.5}, 1000: {1.3, 0}}

// heirsUpTo is the largest fleet whose heirs are counted: above it a pair of nodes has
// too few slots or keys in common to tell anything.
const heirsUpTo = 100

func spreads(w io.Writer, o options, nodes int) {
	line := func(name string, share, heir float64, floor [2]float64, by string) {
		h := "-"
		if heir > 0 {
			h = fmt.Sprintf("%.3f", heir)
		}
		fmt.Fprintf(w, "%s\t%d\t%.4f\t%s\t%s\t%s\t%s\n", name, nodes, share, verdict(share, floor[0]), h, verdict(heir, floor[1]), by)
	}
	for _, p := range placements {
		var share, heir float64
		for i := range o.fleets {
			s, h := spreadOfOurs(p, fleet(i, nodes))
			share, heir = max(share, s), max(heir, h)
		}
		var floor [2]float64
		if p == ring.Rendezvous {
			floor = floors[nodes]
		}
		line("memherd "+p.String(), share, heir, floor, "all")
	}
	keys := sample(o.keys)
	for _, r := range rivals {
		var share, heir float64
		for i := range o.fleets {
			s, h := spreadOf(r, fleet(i, nodes), keys)
			share, heir = max(share, s), max(heir, h)
		}
		line(r.name, share, heir, [2]float64{}, fmt.Sprintf("%d keys", len(keys)))
	}
}

// slots are the hashes that stand for all slots of a slot table.
func slots(yield func(hash uint64) bool) {
	for i := range uint64(1 << 20) {
		if !yield(i << 44) {
			return
		}
	}
}

// spreadOfOurs returns the largest share as a multiple of the mean, and the largest part
// that one heir takes of any dead node's keys as a multiple of its fair part.
func spreadOfOurs(p ring.Placement, nodes []string) (share, heir float64) {
	n := len(nodes)
	r := buildOurs(p, 2, nodes)
	for _, s := range r.Shares() {
		share = max(share, s*float64(n))
	}
	if n > heirsUpTo || p == ring.Ketama { // ketama has no slots to count over
		return share, 0
	}
	owned, heirs := make([]int, n), make([]int, n*n)
	for h := range slots {
		l := r.LookupHash(h)
		owned[l[0]]++
		heirs[int(l[0])*n+int(l[1])]++
	}
	return share, worstHeir(owned, heirs)
}

func worstHeir(owned, heirs []int) (worst float64) {
	n := len(owned)
	for i, o := range owned {
		if o > 0 {
			worst = max(worst, float64(slices.Max(heirs[i*n:i*n+n]))*float64(n-1)/float64(o))
		}
	}
	return worst
}

// spreadOf does the same for a rival, over keys. Where it names no second node, the heirs are
// found by taking the first node of the fleet away.
func spreadOf(r rival, nodes []string, keys []string) (share, heir float64) {
	n := len(nodes)
	index := make(map[string]int, n)
	for i, name := range nodes {
		index[name] = i
	}
	p := r.build(nodes)
	sec, hasSecond := p.(seconder)
	owned, heirs := make([]int, n), make([]int, n*n)
	var orphans []string
	for _, key := range keys {
		o := index[p.owner(key)]
		owned[o]++
		switch {
		case n > heirsUpTo:
		case hasSecond:
			heirs[o*n+index[sec.second(key)]]++
		case o == 0:
			orphans = append(orphans, key)
		}
	}
	share = float64(slices.Max(owned)) * float64(n) / float64(len(keys))
	if _, isJump := p.(jumpRing); n > heirsUpTo || isJump {
		return share, 0 // jump can't lose a node other than the last
	}
	if !hasSecond {
		rest := r.build(nodes[1:])
		for _, key := range orphans {
			heirs[index[rest.owner(key)]]++
		}
		clear(owned[1:]) // nothing is known of the others' heirs
	}
	return share, worstHeir(owned, heirs)
}
