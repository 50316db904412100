// Package health decides whether a node is worth talking to and when to ask again.
package health

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// State of a node as this client sees it.
type State uint32

const (
	// Up: reads and writes go to the node.
	Up State = iota
	// Down: nothing is sent but probes; writes become debt.
	Down
	// Mending: the node answers again. Writes go to it, reads don't until its debt
	// is paid.
	Mending
)

func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Down:
		return "down"
	case Mending:
		return "mending"
	}
	return "unknown"
}

// Breaker is the state of one node: closed (Up), open (Down), half open (Mending).
// The zero value is Up. Its methods may be called concurrently; reading it costs one
// atomic load.
type Breaker struct{ s atomic.Uint32 }

// State returns the state now.
func (b *Breaker) State() State { return State(b.s.Load()) }

// Readable reports whether reads may go to the node.
func (b *Breaker) Readable() bool { return b.State() == Up }

// Writable reports whether writes may go to the node.
func (b *Breaker) Writable() bool { return b.State() != Down }

// Trip opens the breaker; true for the one caller that changed it.
func (b *Breaker) Trip() bool {
	return b.s.Swap(uint32(Down)) != uint32(Down)
}

// Mend half-opens an open breaker after a successful probe.
func (b *Breaker) Mend() bool {
	return b.s.CompareAndSwap(uint32(Down), uint32(Mending))
}

// Hold keeps reads from a node that is up, as if it had just been mended.
func (b *Breaker) Hold() bool {
	return b.s.CompareAndSwap(uint32(Up), uint32(Mending))
}

// Close closes a half-open breaker; false if it has tripped again meanwhile.
func (b *Breaker) Close() bool {
	return b.s.CompareAndSwap(uint32(Mending), uint32(Up))
}

// Backoff spaces the probes of a node that is down: each pause is drawn from the
// half to the whole of a span that doubles from Min to Max, so that many clients
// don't come back at one moment. From 50 to 240 ms that is at most nine dials in the first
// second down and eight a second later, with a Max of 1 s two a second.
type Backoff struct {
	Min, Max time.Duration
	span     time.Duration
}

// Next returns the next pause.
func (b *Backoff) Next() time.Duration {
	if b.span == 0 {
		b.span = b.Min
	} else {
		b.span = min(2*b.span, b.Max)
	}
	return b.span/2 + rand.N(b.span/2+1)
}

// Reset starts over from Min.
func (b *Backoff) Reset() { b.span = 0 }
