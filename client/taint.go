package client

import (
	"slices"
	"time"
)

// What this client has deleted, and owes to some copy, another client may give back to a copy that has confirmed the delete: from
// the one that is owed, to one that it takes for cold or for new. This client does not read that one then (consistency rule 7).
//
// What counts is what the others may see, not what this one does. They may have met a node's new process later, heard of a change
// later, so that they look for longer where a key was, or have switched already to a list that is only announced here.

// seenList is a placement as far as the others go.
type seenList struct {
	*placement
	inForce bool // somebody may read by it
}

// tainted reports whether n, the first copy of key that may be read, may have been given a value by another client from a copy on which
// this one owes a delete of it.
func (t *topology) tainted(hash uint64, key string, n *node) bool {
	cold := n.coldToSome()
	if !cold && !t.doubted() {
		return false
	}
	var mem [8]seenList
	lists := t.elsewhere(mem[:0])
	for i, p := range lists {
		if p.inForce && t.given(p, lists[:i], hash, key, n, cold) {
			return true
		}
	}
	return false
}

// doubted reports whether somebody may read by another list than this client, or look for keys where he does not.
func (t *topology) doubted() bool {
	return len(t.next) > 0 || slices.ContainsFunc(t.past, past.tapped)
}

// tapped reports whether somebody may look there for what its successors' nodes miss: for as long as it is told.
func (p past) tapped() bool { return p.source || p.told }

// elsewhere appends to dst the lists that others may go by, or look in, oldest first.
func (t *topology) elsewhere(dst []seenList) []seenList {
	for i := range t.past {
		if p := &t.past[i]; p.tapped() {
			dst = append(dst, seenList{p.placement, p.recent})
		}
	}
	dst = append(dst, seenList{t.placement, true})
	for _, p := range t.next {
		dst = append(dst, seenList{p, true})
	}
	return dst
}

// given is tainted in the eyes of those who read by p, after the lists before it. They bring a key to a copy that is cold or new from any other
// (revive.go); to one whose turn has come and that was not the owner before, from those after it and from where the key was (restore.go).
func (t *topology) given(p seenList, before []seenList, hash uint64, key string, n *node, cold bool) bool {
	if !p.lists(hash, n) {
		return false
	}
	gained, moved := cold, cold
	for _, q := range before {
		gained = gained || !q.lists(hash, n)
		moved = moved || q.owner(hash) != n
	}
	if !moved {
		return false
	}
	passed := false
	for _, at := range p.ring.LookupHash(hash) {
		other := p.nodes[at]
		passed = passed || other == n
		if other != n && (gained || passed) && other.debt.Blocks(key) {
			return true
		}
	}
	for _, q := range before {
		for _, at := range q.ring.LookupHash(hash) {
			if other := q.nodes[at]; other != n && !p.lists(hash, other) && other.debt.Blocks(key) && !t.lost(other) {
				return true
			}
		}
	}
	return false
}

// coldToSome is cold in the eyes of all who have met the node's new process within the time in which everybody hears of a change.
func (n *node) coldToSome() bool {
	until := n.coldness.until.Load()
	return until != 0 && int64(time.Since(n.c.born)) < until+int64(n.c.cfg.announce())
}
