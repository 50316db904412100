package value

import (
	"sync"
	"sync/atomic"
	"time"
)

// History remembers, for keys numbered 0 to n-1, which version of each was last
// written and acknowledged by this process, so that a read can be held against it.
//
// Writers of one key take turns (Begin … its returned func), since the checks need
// versions to reach the origin in the order of their numbers. Readers take no lock.
type History struct {
	locks [1024]sync.Mutex // of key i: locks[i%1024]; guards next[i] and the write itself
	next  []uint64
	acked []atomic.Pointer[ack]
	start time.Time
}

// ack is one acknowledged version. It is immutable; before is what held until then
// and is cut off one step further back, so that a chain has at most keep entries.
type ack struct {
	version uint64
	at      time.Duration
	before  *ack
}

// keep is how many acknowledgements per key are remembered. Should more of them
// fall within one bound, the check becomes more lenient, never wrong.
const keep = 8

// NewHistory starts with version 1 of every key acknowledged long ago.
func NewHistory(n int) *History {
	h := &History{next: make([]uint64, n), acked: make([]atomic.Pointer[ack], n), start: time.Now()}
	for i := range h.next {
		h.next[i] = 1
	}
	return h
}

// Begin hands out the next version of key i and keeps other writers of it waiting
// until the returned function is called, with whether the write was acknowledged.
func (h *History) Begin(i int) (version uint64, done func(ok bool)) {
	mu := &h.locks[i%len(h.locks)]
	mu.Lock()
	h.next[i]++
	version = h.next[i]
	return version, func(ok bool) {
		if ok {
			h.acked[i].Store(chain(version, time.Since(h.start), h.acked[i].Load()))
		}
		mu.Unlock()
	}
}

func chain(version uint64, at time.Duration, before *ack) *ack {
	out := &ack{version: version, at: at}
	last := out
	for n := 1; before != nil && n < keep; n++ {
		last.before = &ack{version: before.version, at: before.at}
		last, before = last.before, before.before
	}
	return out
}

// Floor is what a read of a key that begins now may return at the least: Newest is
// the version acknowledged last, Bound the newest one acknowledged bound ago.
type Floor struct {
	Newest, Bound uint64
	at            time.Duration // when it was taken
}

// Floor must be taken before the read is sent.
func (h *History) Floor(i int, bound time.Duration) Floor {
	now := time.Since(h.start)
	a := h.acked[i].Load()
	if a == nil {
		return Floor{Newest: 1, Bound: 1, at: now}
	}
	f := Floor{Newest: a.version, Bound: 1, at: now}
	for ; a != nil; a = a.before {
		if a.at+bound <= now {
			f.Bound = a.version
			return f
		}
	}
	return f
}

// Age is how long before f was taken the version after v, which a read of key i then returned, was acknowledged; 0 if
// it was not. If more than keep have been since, it is that of the oldest that is remembered.
func (h *History) Age(i int, v uint64, f Floor) (age time.Duration) {
	for a := h.acked[i].Load(); a != nil && a.version > v; a = a.before {
		age = max(0, f.at-a.at)
	}
	return age
}
