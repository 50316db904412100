package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/memherd/memherd/ring"
)

// movements adds a node to each fleet and takes it away again, and reports false if on
// one of memherd's slot tables any list changed but by that node.
func movements(w io.Writer, o options, nodes int) bool {
	ideal := 1 / float64(nodes+1)
	line := func(name string, joined, besides, left, besidesLeft float64) {
		fmt.Fprintf(w, "%s\t%d\t%.2f %%\t%.2f %%\t%.3f %%\t%.2f %%\t%.3f %%\n", name, nodes, 100*joined, 100*ideal, 100*besides, 100*left, 100*besidesLeft)
	}
	clean := true
	for _, p := range []ring.Placement{ring.Rendezvous, ring.Classic} {
		var moved, besides float64
		for i := range o.fleets {
			names := fleet(i, nodes+1)
			small, large := buildOurs(p, 3, names[:nodes]), buildOurs(p, 3, names)
			m, b := compare(small, large, names[nodes])
			moved, besides = max(moved, m), max(besides, b)
		}
		// Leaving is joining the other way round: the two rings are the same.
		line("memherd "+p.String(), moved, besides, moved, besides)
		clean = clean && besides == 0
	}
	keys := sample(o.keys)
	for _, r := range rivals {
		var moved, besides float64
		for i := range o.fleets {
			names := fleet(i, nodes+1)
			small, large := r.build(names[:nodes]), r.build(names)
			m, b := 0, 0
			for _, key := range keys {
				was, is := small.owner(key), large.owner(key)
				switch {
				case was == is:
				case is == names[nodes]:
					m++
				default:
					m++
					b++
				}
			}
			moved, besides = max(moved, float64(m)/float64(len(keys))), max(besides, float64(b)/float64(len(keys)))
		}
		line(r.name, moved, besides, moved, besides)
	}
	return clean
}

// compare returns which part of all slots has another owner in large, which has the node
// joined besides, and which part has another list than that node alone explains.
func compare(small, large *ring.Ring, joined string) (moved, besides float64) {
	first, err := ring.Node{Addr: joined}.Canonical()
	if err != nil {
		panic(err) // the name is this program's own
	}
	toSmall := make(map[uint16]uint16, large.Len())
	var who uint16
	for i, n := range large.Nodes() {
		if n.Name == first.Name {
			who = uint16(i)
			continue
		}
		toSmall[uint16(i)] = uint16(slices.IndexFunc(small.Nodes(), func(m ring.Node) bool { return m.Name == n.Name }))
	}
	m, b, total := 0, 0, 0
	rest := make([]uint16, 0, large.Copies())
	for h := range slots {
		was, is := small.LookupHash(h), large.LookupHash(h)
		rest = rest[:0]
		for _, n := range is {
			if n != who {
				rest = append(rest, toSmall[n])
			}
		}
		if is[0] == who {
			m++
		}
		if !slices.Equal(rest, was[:len(rest)]) {
			b++
		}
		total++
	}
	return float64(m) / float64(total), float64(b) / float64(total)
}
