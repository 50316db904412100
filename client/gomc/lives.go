package gomc

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/memherd/memherd/client/item"
)

// lives packs a CAS token, and the node and life of that node it belongs to, into the 64 bits of
// gomemcache's Item.CasID. A node counts its tokens from 1, and again from 1 when it was restarted: 48
// bits are enough for the count, and the upper 16 are the number under which the node's life is
// kept here. So an item that was read before a restart can't overwrite one that got
// the same token after it.
type lives struct {
	mu    sync.Mutex // guards changes of known
	known atomic.Pointer[table]
}

// table is a snapshot.
type table struct {
	number map[item.Version]uint16
	of     []item.Version // by number-1
	next   int            // place in of of the next life, when all are taken
}

const (
	countBits = 48
	maxLives  = 1<<16 - 1
)

// join returns the CasID of a token, 0 for none and for one that does not fit: some client has given
// the item a token of its own choice (meta set, flag E) over 2^48.
func (l *lives) join(cas uint64, v item.Version) uint64 {
	if cas == 0 || cas>>countBits != 0 || v == (item.Version{}) {
		return 0
	}
	t := l.known.Load()
	if t == nil {
		t = l.add(v)
	}
	n := t.find(v)
	if n == 0 {
		n = l.add(v).number[v]
	}
	return uint64(n)<<countBits | cas
}

// find returns v's number, 0 if it has none. In most fleets it is among the last few, and comparing the
// same string with itself is faster than hashing it.
func (t *table) find(v item.Version) uint16 {
	for i := len(t.of) - 1; i >= max(0, len(t.of)-8); i-- {
		if t.of[i].Life == v.Life && t.of[i].Node == v.Node {
			return uint16(i + 1)
		}
	}
	return t.number[v]
}

// add gives v a number: the oldest one when there is none left.
func (l *lives) add(v item.Version) *table {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.known.Load()
	if old == nil {
		old = &table{}
	}
	if old.number[v] != 0 {
		return old
	}
	t := &table{number: make(map[item.Version]uint16, len(old.number)+1), of: append([]item.Version(nil), old.of...), next: old.next}
	for k, n := range old.number {
		t.number[k] = n
	}
	if len(t.of) < maxLives {
		t.of = append(t.of, v)
		t.number[v] = uint16(len(t.of))
	} else {
		delete(t.number, t.of[t.next])
		t.of[t.next] = v
		t.number[v] = uint16(t.next + 1)
		t.next = (t.next + 1) % maxLives
	}
	l.known.Store(t)
	return t
}

// split is join undone. What join has not made, 0 among it, becomes a token that no item has: the
// node then says whether there is an item to be in conflict with.
func (l *lives) split(id uint64) (uint64, item.Version) {
	n, t := int(id>>countBits), l.known.Load()
	if n == 0 || t == nil || n > len(t.of) {
		return math.MaxUint64, item.Version{}
	}
	return id & (1<<countBits - 1), t.of[n-1]
}
