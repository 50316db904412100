package hotkey

import (
	"sync/atomic"
	"time"
)

// entry is one value held near. It is written before it is published and never again, but for deadline, which a renewal moves,
// kept, which is set once, and reads.
//
// What a hit needs comes first, and the whole is three lines of 64 bytes: a hit on a key that is not in the processor's caches,
// as nearly all are where there are many, waits for two of them (BenchmarkNearHitMany: a sixth less time than with
// kept and reads behind the rest).
type entry struct {
	hash     uint64 // of the mixer, not the ring's
	deadline atomic.Int64
	key      string
	kept     Kept
	value    Value // its Bytes end the first line
	// reads counts hits since the last validation, up to readsCounted; then it is only read, so that the hits of a truly
	// hot entry write nothing.
	reads    atomic.Int64
	ringHash uint64
	size     int64
	hard     int64 // nanoseconds since base when the node itself lets the value go; 0 = unknown. Guarded by Near.mu.
	x        int64 // how long a validation lasts, in nanoseconds
	sentAt   int64 // when the validating request was sent, since base. Guarded by Near.mu.
	seal     seal
	_        [24]byte // and the allocator puts what is three lines long at the start of one
}

const (
	// readsCounted is how many hits an entry counts one by one after each validation.
	readsCounted = 64
	// entryOverhead is what an entry costs besides key and value: itself, two table cells, the recency list's element and
	// map cell, and what the allocator rounds up.
	entryOverhead = 448
	// dead is the deadline of an entry that must never serve again.
	dead = int64(-1) << 62
	// minTable is the smallest number of cells.
	minTable = 512
)

// table is the snapshot readers look into: open addressing with linear probing over atomic pointers. A cell that was
// used is never nil again in this table (a removed entry leaves a mark behind), so a reader that walks past it misses
// nothing. Cells are written under Near.mu only. Growing and sweeping out such marks build a new table aside and swap
// it; a reader still in the old one may find an entry that has since been removed, which is as good as having come a
// moment earlier, and is refused anyway, because removing an entry kills its deadline first.
type table struct {
	mask  uint64
	used  int // cells that are not nil; guarded by Near.mu
	cells []atomic.Pointer[entry]
	gone  *entry // marks the cell of a removed entry
}

func newTable(cells int) *table {
	return &table{mask: uint64(cells - 1), cells: make([]atomic.Pointer[entry], cells), gone: new(entry)}
}

// find returns the entry of the key, or nil. It is wait-free: at most half of the cells are in use, so a walk ends.
func (t *table) find(h uint64, key string) *entry {
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		e := t.cells[i].Load()
		if e == nil {
			return nil
		}
		if e.hash == h && e.key == key && e != t.gone {
			return e
		}
	}
}

// place publishes e, in the cell of the entry of the same key if there is one. The caller holds Near.mu and has seen
// to it that a cell is free.
func (t *table) place(e *entry) {
	i := e.hash & t.mask
	for ; ; i = (i + 1) & t.mask {
		c := t.cells[i].Load()
		if c == nil {
			t.used++
			break
		}
		if c.hash == e.hash && c.key == e.key && c != t.gone {
			break
		}
	}
	t.cells[i].Store(e)
}

// remove takes exactly e out, not a later entry of its key. The caller holds Near.mu.
func (t *table) remove(e *entry) {
	for i := e.hash & t.mask; ; i = (i + 1) & t.mask {
		switch t.cells[i].Load() {
		case nil:
			return
		case e:
			t.cells[i].Store(t.gone)
			return
		}
	}
}

// roomy returns a table with room for one more entry: t, or a copy without such marks and at most a quarter full.
func (t *table) roomy(live int) *table {
	if 2*(t.used+1) <= len(t.cells) {
		return t
	}
	next := newTable(max(minTable, ceilPow2(4*(live+1))))
	for i := range t.cells {
		if e := t.cells[i].Load(); e != nil && e != t.gone {
			next.place(e)
		}
	}
	return next
}

// since is the monotonic time since n.base. time.Since reads the monotonic clock alone, about half of time.Now.
func (n *Near) since() int64 { return int64(time.Since(n.base)) }
