package hotkey

import (
	"sync/atomic"
	"time"
)

// Kept is room beside a held value for what a reader has made of its bytes, so that the next need not do it again. It
// is empty at first; whoever sets it does so by CompareAndSwap from nil, once. It is the same for every reader of these
// bytes and ends with them: other bytes of the same key come with another Kept, and what is put into one whose bytes
// have gone meanwhile nobody finds. What it leads to is read-only, and is not counted in Config.NearBytes.
type Kept = atomic.Pointer[any]

// Seen is what Look found.
type Seen struct {
	Bytes []byte        // read-only: every reader gets the same memory
	At    time.Duration // when the read was found to be allowed, by the monotonic clock, since NewNear
	Kept  *Kept
}

// Look is Get for those who keep what they make of a value beside it. The same reads are served, but for remembered
// misses, and it costs the same.
// It does not keep key.
func (n *Near) Look(hash uint64, key string) (Seen, bool) {
	e, now := n.read(hash, key)
	if e == nil || e.value.Missing {
		return Seen{}, false
	}
	return Seen{Bytes: e.value.Bytes, At: time.Duration(now), Kept: &e.kept}, true
}
