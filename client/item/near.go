package item

import (
	"sync/atomic"
	"time"
)

// Near is what a near-cache holds of a key.
type Near struct {
	// Value is read-only: every reader gets the same memory.
	Value []byte
	// At is when the value was found to be good to serve, by the monotonic clock: since a moment that is the same
	// for all that one cache holds.
	At time.Duration
	// Kept is room for what the reader makes of Value, for the next reader to find. It is set at most
	// once, by CompareAndSwap from nil, and ends with Value. What it leads to is read-only.
	Kept *atomic.Pointer[any]
}
