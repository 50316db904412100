package ring

import (
	"slices"
	"sort"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// classic is the ring of virtual nodes. A slot stands on the ring at the middle of
// the hashes it covers; its list starts with the node of the first point at or
// after that place and goes on with the other nodes in the order in which
// the ring, followed upwards and around, meets them.
type classic struct {
	points []point
	zoneOf []int // by node: its zone's number
	zones  int
	copies int
}

// point is a virtual node.
type point struct {
	hash uint64
	node uint16
}

func newClassic(p *plan) *classic {
	c := &classic{zones: p.zones, copies: p.copies, zoneOf: make([]int, len(p.active))}
	zoneNumber := make(map[string]int)
	label := make([]byte, 0, maxNameLen+len("-2147483647"))
	for i := range p.active {
		n := p.node(i)
		z, ok := zoneNumber[n.Zone]
		if !ok {
			z = len(zoneNumber)
			zoneNumber[n.Zone] = z
		}
		c.zoneOf[i] = z
		label = append(append(label[:0], n.Name...), '-')
		for v := range p.vnodes * n.Weight {
			h := xxhash.Sum64(strconv.AppendInt(label, int64(v), 10))
			c.points = append(c.points, point{hash: h, node: uint16(i)})
		}
	}
	c.sort()
	return c
}

func (c *classic) sort() {
	// Points that collide are ordered by name, so that the result doesn't depend
	// on the order in which nodes were listed.
	slices.SortFunc(c.points, func(a, b point) int {
		if a.hash != b.hash {
			if a.hash < b.hash {
				return -1
			}
			return 1
		}
		return int(a.node) - int(b.node)
	})
}

func (c *classic) fill(out []uint16, first, last int) {
	w := walk{classic: c, seen: make([]int, len(c.zoneOf)), zoneSeen: make([]int, c.zones)}
	at := sort.Search(len(c.points), func(i int) bool { return c.points[i].hash >= slotPlace(first) })
	listed := -1 // where the list just before out begins on the ring
	var prev []uint16
	for slot := first; slot < last; slot++ {
		for at < len(c.points) && c.points[at].hash < slotPlace(slot) {
			at++
		}
		if at != listed {
			w.list(out[:c.copies], at)
			listed = at
		} else {
			copy(out, prev)
		}
		prev, out = out[:c.copies], out[c.copies:]
	}
}

// slotPlace is the hash at which a slot stands on the ring.
func slotPlace(slot int) uint64 { return uint64(slot)<<slotShift | 1<<(slotShift-1) }

// walk is the scratch memory for following the ring.
type walk struct {
	*classic
	round    int
	seen     []int // by node: the last round that met it
	zoneSeen []int // by zone: the last round that listed one of its nodes
	skipped  []uint16
}

// list follows the ring from point at until out is full.
func (w *walk) list(out []uint16, at int) {
	w.round++
	w.skipped = w.skipped[:0]
	n, zones := 0, 0
	for i := 0; n < len(out); i++ {
		node := w.points[(at+i)%len(w.points)].node
		if w.seen[node] == w.round {
			continue
		}
		w.seen[node] = w.round
		if z := w.zoneOf[node]; w.zones > 1 && zones < w.zones {
			if w.zoneSeen[z] == w.round {
				w.skipped = append(w.skipped, node)
				continue
			}
			w.zoneSeen[z] = w.round
			zones++
		}
		out[n] = node
		n++
		if zones == w.zones {
			// Every zone is in: those skipped come next, having been met before
			// whatever is still ahead.
			n += copy(out[n:], w.skipped)
			w.skipped = w.skipped[:0]
		}
	}
}
