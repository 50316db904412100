package ring

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// rendezvous gives each slot the nodes that draw best for it. It never sorts all
// nodes: it keeps the best few, and asks of each node first whether it can be
// among them. It handles every fleet; plain does the commonest ones faster.
type rendezvous struct {
	zones  [][]member // nodes by zone, each zone's in order of name; one group if there are no zones
	per    int        // how many of a zone's best can matter
	copies int
	logs   *logTable // nil if all weights are equal
	heavy  uint64    // the largest weight
}

// member is a node as seen by the score.
type member struct {
	a, b   uint64 // two independent hashes of the name
	weight uint32
	node   uint16
}

func newRendezvous(p *plan) filler {
	r := rendezvousOf(p)
	if r.logs == nil && len(r.zones) == 1 {
		return plain{members: r.zones[0], copies: r.copies}
	}
	return r
}

func rendezvousOf(p *plan) *rendezvous {
	r := &rendezvous{copies: p.copies, per: 1}
	zoneOf := make(map[string]int)
	for i := range p.active {
		n := p.node(i)
		h := xxhash.Sum64String(n.Name)
		z, ok := zoneOf[n.Zone]
		if !ok {
			z = len(r.zones)
			zoneOf[n.Zone] = z
			r.zones = append(r.zones, nil)
		}
		r.zones[z] = append(r.zones[z], member{a: h, b: mix64(h), weight: uint32(n.Weight), node: uint16(i)})
		r.heavy = max(r.heavy, uint64(n.Weight))
		if n.Weight != p.node(0).Weight {
			r.logs = newLogTable()
		}
	}
	// With zones enough for all copies only the best of each zone can be in the
	// list. With fewer, any of a zone's best may fill up what zones left over.
	if p.zones < p.copies {
		r.per = p.copies
	}
	return r
}

func (r *rendezvous) fill(out []uint16, first, last int) {
	var buf [MaxCopies]candidate
	list := topList{items: buf[:0], max: r.copies}
	zone := topList{items: make([]candidate, 0, r.per), max: r.per}
	all := make([]candidate, 0, r.per*len(r.zones))
	for slot := first; slot < last; slot++ {
		sa, sb := slotSeeds(slot)
		list.items = list.items[:0]
		switch {
		case len(r.zones) == 1:
			r.rank(&list, r.zones[0], sa, sb)
		case r.per == 1:
			for _, members := range r.zones {
				zone.items = zone.items[:0]
				r.rank(&zone, members, sa, sb)
				list.insert(zone.items[0])
			}
		default:
			all = all[:0]
			for _, members := range r.zones {
				zone.items = zone.items[:0]
				r.rank(&zone, members, sa, sb)
				list.insert(zone.items[0])
				all = append(all, zone.items[1:]...)
			}
			// The bests of all zones fit in the list and stay first, in
			// order; the others follow in theirs.
			bests := len(list.items)
			rest := topList{items: list.items[bests:], max: r.copies - bests}
			for _, c := range all {
				rest.insert(c)
			}
			list.items = list.items[:bests+len(rest.items)]
		}
		for i := range list.items {
			out[i] = list.items[i].node
		}
		out = out[r.copies:]
	}
}

// rank puts the best of members into l, which is empty and holds at most l.max.
//
//go:norace
func (r *rendezvous) rank(l *topList, members []member, sa, sb uint64) {
	head := min(l.max, len(members))
	for i := range members[:head] {
		m := &members[i]
		l.insert(r.draw(m, score(m, sa, sb)))
	}
	// Most nodes of a large fleet cost one score, not yet cut to its 48 bits, and one comparison.
	if r.logs == nil {
		worst := l.items[head-1].hash
		for i := head; i < len(members); i++ {
			m := &members[i]
			if hi, lo := bits.Mul64(m.a^sa, m.b^sb); hi^lo <= worst {
				continue
			}
			// A tie goes to the earlier name, which is in the list already.
			if h := score(m, sa, sb); h > worst {
				l.insert(candidate{hash: h, node: m.node})
				worst = l.items[head-1].hash
			}
		}
		return
	}
	limit := l.limit()
	least := leastScore(limit, r.heavy)
	for i := head; i < len(members); i++ {
		m := &members[i]
		if hi, lo := bits.Mul64(m.a^sa, m.b^sb); hi^lo < least {
			continue
		}
		h := score(m, sa, sb)
		// The cost is worth computing only if the least it can be is within
		// the limit, which is rounded up, so that no candidate is lost.
		hi, lo := bits.Mul64(limit, uint64(m.weight))
		if hi == 0 && minCost(h) > lo {
			continue
		}
		l.insert(r.draw(m, h))
		limit = l.limit()
		least = leastScore(limit, r.heavy)
	}
}

//go:norace
func (r *rendezvous) draw(m *member, h uint64) candidate {
	if r.logs == nil {
		return candidate{hash: h, node: m.node}
	}
	return candidate{hash: h, cost: r.logs.cost(h), weight: m.weight, node: m.node}
}

// score is the node's draw for a slot: both hashes of each, folded by one wide
// multiplication. The low 16 bits are zero: plain puts the node there.
func score(m *member, sa, sb uint64) uint64 {
	hi, lo := bits.Mul64(m.a^sa, m.b^sb)
	return (hi ^ lo) &^ 0xffff
}

// slotSeeds are the slot's part of the score.
func slotSeeds(slot int) (sa, sb uint64) { return mix64(uint64(slot)), mix64(^uint64(slot)) }

// mix64 is the output function of SplitMix64 (Steele, Lea and Flood 2014): a
// bijection on 64-bit integers in which every input bit reaches every output bit.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// topList holds the best max candidates seen, best first.
type topList struct {
	items []candidate
	max   int
}

//go:norace
func (l *topList) insert(c candidate) {
	n := len(l.items)
	if n < l.max {
		l.items = append(l.items, c)
	} else if n == 0 || !c.before(&l.items[n-1]) {
		return
	} else {
		n--
	}
	for n > 0 && c.before(&l.items[n-1]) {
		l.items[n] = l.items[n-1]
		n--
	}
	l.items[n] = c
}

// limit is the worst kept candidate's cost per unit of weight, rounded up.
//
//go:norace
func (l *topList) limit() uint64 {
	c := &l.items[len(l.items)-1]
	return c.cost/uint64(c.weight) + 1
}
