package client

import (
	"slices"
	"time"
)

// topology is an immutable snapshot of the fleet: the placement that reads go by, and
// those that it comes after and before (see membership.go). A call loads it once and uses
// it throughout.
type topology struct {
	*placement
	past  []past         // oldest first
	next  []*placement   // announced, oldest first; the last is the newest list
	all   []*node        // of all placements, each once; those of the placement first
	hears map[*node]bool // those that hear of changes: of the placement, announced, and past ones that are told
	since time.Time      // when reads went over to the placement
}

// past is a placement that some client may still go by.
type past struct {
	*placement
	// told: its copies still hear of deletes and writes. source: what a node misses is
	// looked for there. recent: other clients may not yet know that reads have left it. left: nobody
	// goes by it any more, and only nodes that other lists have, too, still hear of what was theirs.
	told, source, recent, left bool
	// seen: every client has learned of it. One that was superseded soon somebody may have missed, who asks for the list from
	// time to time; he tells its nodes nothing, and what they have may be old. If somebody has, nobody has gone by it.
	seen bool
}

// tells reports whether the copy of a past list on n still hears of deletes and writes. A node hears
// of all that it ever had, or it counts as one that has missed something when it comes back (departed.go).
func (t *topology) tells(p *past, n *node) bool { return p.told || t.hears[n] }

// moving reports whether a change of the fleet is under way, so that some keys have
// copies in more than one placement.
func (t *topology) moving() bool { return len(t.past)+len(t.next) > 0 }

// changing reports whether some client may go by another list than t's. Afterwards lists are still remembered, for the LeftoverWindow.
func (t *topology) changing() bool {
	return len(t.next) > 0 || slices.ContainsFunc(t.past, func(p past) bool { return !p.left })
}

func (t *topology) byName(name string) *node { return byName(t.all, name) }

// wanted are the nodes that reads go to, and those that join.
func (t *topology) wanted() []*node {
	joining, _ := difference(t.placement, newestOf(t.placement, t.next))
	return append(slices.Clip(t.nodes), joining...)
}

// stages appends to dst the groups of nodes that a delete of a key reaches one after the
// other: the copies of the oldest placement first, those of the newest last, and in each the
// owner last (consistency rules 2 and 17). A node comes where it is met first, but lists that are told no more don't
// count for that: for one Announce more who fills the owner of now waits for what comes after it there (see shared), and then
// nobody does. A client that hears of changes later than others stops with the order before they stop with the waiting. The nodes of
// such lists that no other has come before all. mem is memory for the nodes.
func (t *topology) stages(hash uint64, mem []*node, dst [][]*node) [][]*node {
	if t.untouched(hash) {
		all := t.copies(hash, mem[:0])
		if len(all) > 1 {
			dst = append(dst, all[1:])
		}
		return append(dst, all[:1])
	}
	var met []*node
	add := func(p *placement, old *past) {
		list := p.copies(hash, nil)
		for _, group := range [][]*node{list[1:], list[:1]} {
			fresh := slices.DeleteFunc(slices.Clone(group), func(n *node) bool {
				return slices.Contains(met, n) || old != nil && !t.tells(old, n)
			})
			if len(fresh) > 0 {
				met = append(met, fresh...)
				dst = append(dst, fresh)
			}
		}
	}
	for i := range t.past {
		if old := &t.past[i]; !old.told {
			list := slices.DeleteFunc(old.copies(hash, nil), func(n *node) bool {
				return slices.Contains(met, n) || !t.tells(old, n) || t.current(hash, n)
			})
			if len(list) > 0 {
				met = append(met, list...)
				dst = append(dst, list)
			}
		}
	}
	for i := range t.past {
		if t.past[i].told {
			add(t.past[i].placement, &t.past[i])
		}
	}
	add(t.placement, nil)
	for _, p := range t.next {
		add(p, nil)
	}
	return dst
}

// untouched reports whether no change that is remembered has touched a key: all placements have it on its copies, in
// their order, and those that are over have it on no other node that still hears of it. So it is with most keys, for as long as
// lists are remembered.
func (t *topology) untouched(hash uint64) bool {
	for i := range t.past {
		p := &t.past[i]
		if p.told {
			if !t.agrees(p.placement, hash) {
				return false
			}
			continue
		}
		for _, at := range p.ring.LookupHash(hash) {
			if n := p.nodes[at]; !t.lists(hash, n) && t.tells(p, n) {
				return false
			}
		}
	}
	for _, p := range t.next {
		if !t.agrees(p, hash) {
			return false
		}
	}
	return true
}

// agrees reports whether p has a key on the same nodes, in the same order.
func (t *topology) agrees(p *placement, hash uint64) bool {
	ours, theirs := t.ring.LookupHash(hash), p.ring.LookupHash(hash)
	if len(ours) != len(theirs) {
		return false
	}
	for i := range ours {
		if t.nodes[ours[i]] != p.nodes[theirs[i]] {
			return false
		}
	}
	return true
}

// current reports whether n holds a key in a placement that is in force, announced, or still told.
func (t *topology) current(hash uint64, n *node) bool {
	return t.lists(hash, n) ||
		slices.ContainsFunc(t.past, func(p past) bool { return p.told && p.lists(hash, n) }) ||
		slices.ContainsFunc(t.next, func(p *placement) bool { return p.lists(hash, n) })
}

// strays are the nodes that hold a key in other placements only, in the order of stages: before, in those that
// reads have left, after, in those that are announced. A write deletes the key on the
// former, stores it on its copies, and then deletes it on the latter (consistency rule 17).
func (t *topology) strays(hash uint64) (before, after [][]*node) {
	if t.untouched(hash) {
		return nil, nil
	}
	collect := func(p *placement, old *past, into [][]*node) [][]*node {
		list := p.copies(hash, nil)
		for _, group := range [][]*node{list[1:], list[:1]} {
			fresh := slices.DeleteFunc(slices.Clone(group), func(n *node) bool {
				return t.lists(hash, n) || among(into, n) || old != nil && !t.tells(old, n)
			})
			if len(fresh) > 0 {
				into = append(into, fresh)
			}
		}
		return into
	}
	for i := range t.past {
		before = collect(t.past[i].placement, &t.past[i], before)
	}
	for _, p := range t.next {
		after = collect(p, nil, after)
	}
	return before, after
}

// among reports whether n is in any of the groups.
func among(groups [][]*node, n *node) bool {
	return slices.ContainsFunc(groups, func(g []*node) bool { return slices.Contains(g, n) })
}

// returned reports whether a copy of a key was one before another node, which is none now, was, or beside it when
// that one was the owner: in the order of stages that other one comes after it. A client that still goes by the
// placement of then copies the key from the former to the latter when it misses it there, if that is cold or
// new. So a write must delete it on both, in that order, before it stores it.
func (t *topology) returned(hash uint64) bool {
	back := false
	for i := range t.past {
		p := &t.past[i]
		if p.left {
			continue
		}
		list := p.ring.LookupHash(hash)
		for i := range list {
			n := p.nodes[list[(i+1)%len(list)]] // the owner last
			if t.lists(hash, n) {
				back = true
			} else if back && p.recent && t.tells(p, n) {
				return true
			}
		}
	}
	return false
}

// holders appends the nodes that may hold a key in any placement.
func (t *topology) holders(hash uint64, dst []*node) []*node {
	dst = t.copies(hash, dst)
	before, after := t.strays(hash)
	for _, group := range append(before, after...) {
		dst = append(dst, group...)
	}
	return dst
}

// news are the holders of a key that it has not in an earlier snapshot.
func (t *topology) news(before *topology, hash uint64) []*node {
	if t.same(before) {
		return nil
	}
	var mem, known [2 * maxCopies]*node
	told := before.holders(hash, known[:0])
	return slices.DeleteFunc(t.holders(hash, mem[:0]), func(n *node) bool { return slices.Contains(told, n) })
}

// sources appends the nodes that may have held a key before reads left them, newest placement first,
// and that are none of its copies now: of placements that are seen, or of all.
func (t *topology) sources(hash uint64, all bool, dst []*node) []*node {
	for i := len(t.past) - 1; i >= 0; i-- {
		p := &t.past[i]
		if !p.source || !p.seen && !all {
			continue
		}
		for _, at := range p.ring.LookupHash(hash) {
			if n := p.nodes[at]; !t.lists(hash, n) && !slices.Contains(dst, n) {
				dst = append(dst, n)
			}
		}
	}
	return dst
}

// everywhere appends the copies of a key and its sources: wherever its value may be found.
func (t *topology) everywhere(hash uint64, all bool, dst []*node) []*node {
	return t.sources(hash, all, t.copies(hash, dst))
}

// moved reports whether n may lack a key, as its owner, that an old copy has.
func (t *topology) moved(hash uint64, n *node) bool {
	for _, p := range t.past {
		if p.source && p.owner(hash) != n {
			return true
		}
	}
	return false
}

// owned reports whether n was the owner of a key before the fleet changed.
func (t *topology) owned(hash uint64, n *node) bool {
	for _, p := range t.past {
		if p.source && p.owner(hash) == n {
			return true
		}
	}
	return false
}

// gained reports whether n is a copy of a key only since the fleet changed.
func (t *topology) gained(hash uint64, n *node) bool {
	for _, p := range t.past {
		if p.source && !p.lists(hash, n) {
			return true
		}
	}
	return false
}

// shared reports whether n is a copy of a key in a past placement, too: clients that still
// go by that one don't delete it there last, so who fills it from another copy waits for
// hold first (consistency rule 17).
func (t *topology) shared(hash uint64, n *node) bool {
	for _, p := range t.past {
		if !p.left && p.lists(hash, n) {
			return true
		}
	}
	return false
}

// lacks reports whether a miss of a key on n may be no miss, because another node has it.
func (t *topology) lacks(hash uint64, n *node) bool { return n.cold() || t.moved(hash, n) }

// handingOver reports whether other clients may still take another node for the owner of a
// key.
func (t *topology) handingOver(hash uint64) bool {
	for _, p := range t.past {
		if p.recent && p.owner(hash) != t.owner(hash) {
			return true
		}
	}
	return false
}
