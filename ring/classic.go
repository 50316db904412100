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
	at := sort.Search(len(c.points), func(i int) bool { return c.points[i].hash >= slotPlace(last-1) })
	w := c.walkFrom(at)
	var behind []uint16 // the list of the slot behind
	for slot := last - 1; slot >= first; slot-- {
		same := behind != nil
		for at > 0 && c.points[at-1].hash >= slotPlace(slot) {
			at--
			w.meet(c.points[at].node)
			same = false
		}
		list := out[(slot-first)*c.copies:][:c.copies]
		if same {
			copy(list, behind)
		} else {
			w.list(list)
		}
		behind = list
	}
}

// slotPlace is the hash at which a slot stands on the ring.
func slotPlace(slot int) uint64 { return uint64(slot)<<slotShift | 1<<(slotShift-1) }

// walk has the nodes in the order in which the ring, followed from some point upwards and around, meets them for the
// first time. It goes the ring backwards, from point to point: whose point it comes to is met first from there. To follow
// the ring from each point instead took minutes where light nodes have few points among those of heavy ones.
type walk struct {
	*classic
	// next and prev link the nodes in a circle; behind the last one comes the number after all nodes, which is none. next
	// is -1 for a node that has not been met.
	next, prev []int32
	round      int
	zoneSeen   []int // by zone: the last round that listed one of its nodes
	skipped    []uint16
}

// walkFrom makes the walk from point at on.
func (c *classic) walkFrom(at int) *walk {
	nodes := len(c.zoneOf)
	w := &walk{classic: c, next: make([]int32, nodes+1), prev: make([]int32, nodes+1), zoneSeen: make([]int, c.zones)}
	for i := range nodes {
		w.next[i] = -1
	}
	w.next[nodes], w.prev[nodes] = int32(nodes), int32(nodes)
	for i := len(c.points) - 1; i >= 0; i-- {
		w.meet(c.points[(at+i)%len(c.points)].node)
	}
	return w
}

// meet puts node first: the walk has come to a point of it.
func (w *walk) meet(node uint16) {
	n, none := int32(node), int32(len(w.next)-1)
	if after := w.next[n]; after >= 0 {
		before := w.prev[n]
		w.next[before], w.prev[after] = after, before
	}
	first := w.next[none]
	w.next[none], w.prev[n] = n, none
	w.next[n], w.prev[first] = first, n
}

// list fills out with the nodes that follow where the walk is.
func (w *walk) list(out []uint16) {
	w.round++
	w.skipped = w.skipped[:0]
	n, zones := 0, 0
	for node := w.next[len(w.next)-1]; n < len(out); node = w.next[node] {
		if z := w.zoneOf[node]; w.zones > 1 && zones < w.zones {
			if w.zoneSeen[z] == w.round {
				w.skipped = append(w.skipped, uint16(node))
				continue
			}
			w.zoneSeen[z] = w.round
			zones++
		}
		out[n] = uint16(node)
		n++
		if zones == w.zones {
			// Every zone is in: those skipped come next, having been met before
			// whatever is still ahead.
			n += copy(out[n:], w.skipped)
			w.skipped = w.skipped[:0]
		}
	}
}
