package item

import (
	"sync/atomic"
	"time"
)

// Near is what a near-cache holds of a key.
type Near struct {
	// Value is read-only: every reader gets the same memory.
	Value []byte
	// At is when the value was found to be good to serve, with the monotonic clock's reading.
	At time.Time
	// Kept is room for what the reader makes of Value, for the next reader to find. It is set at most
	// once, by CompareAndSwap from nil, and ends with Value. What it leads to is read-only.
	Kept *atomic.Pointer[any]
}
