package item

import (
	"context"
	"errors"
	"net"
)

// Outcomes. They are compared with errors.Is and mean that the cache answered;
// none of them marks a node as ill.
var (
	// ErrCacheMiss: the key is not in the cache.
	ErrCacheMiss = errors.New("memherd: cache miss")
	// ErrNotStored: the condition of an Add, Replace, Append or Prepend did not hold.
	ErrNotStored = errors.New("memherd: item not stored: its condition did not hold")
	// ErrCASConflict: the item was changed since its CAS token was read.
	ErrCASConflict = errors.New("memherd: compare-and-swap conflict: the item has changed since it was read")
	// ErrNotNumber: Increment or Decrement found a value that is not a decimal number.
	ErrNotNumber = errors.New("memherd: value is not a decimal number")
)

// Refusals: bad input found before a byte was sent, always safe to correct and
// call again.
var (
	// ErrMalformedKey: empty, longer than 250 bytes, or with a byte <= 0x20 or 0x7f.
	ErrMalformedKey = errors.New("memherd: malformed key: need 1 to 250 bytes, none of them space, control character or DEL")
	// ErrTooLarge: the value is over the node's item size limit. Refused before it
	// is sent when over Config.MaxValueBytes; a node that refuses a smaller one has
	// dropped the old value, too. A read says so of a value over the limit that is there
	// all the same: another program stored it, or an Append made it longer.
	ErrTooLarge = errors.New("memherd: value too large: raise the node's -I and Config.MaxValueBytes, or split it")
	// ErrBadTTL: a negative TTL that is not Expired.
	ErrBadTTL = errors.New("memherd: negative TTL: use 0 for no expiry or item.Expired")
	// ErrBadFlags: flags equal to FlagZero.
	ErrBadFlags = errors.New("memherd: these flags (1<<30) are reserved: they mark user flags of 0 on the wire")
	// ErrNilContext: the context is nil.
	ErrNilContext = errors.New("memherd: nil context: give context.Background() if there is none")
)

// Failures: the cache, or part of it, could not do it.
var (
	// ErrNodeDown: the node's breaker is open; nothing was sent.
	ErrNodeDown = errors.New("memherd: node is down")
	// ErrOwnerDown: the owner of the key is unreachable and the operation may run on
	// the owner only; nothing was sent.
	ErrOwnerDown = errors.New("memherd: owner of the key is down and only the owner may run this operation")
	// ErrBusy: the cap on requests in flight to the node is reached; nothing was sent.
	ErrBusy = errors.New("memherd: too many requests in flight to the node")
	// ErrConnLost: the connection broke before the reply arrived.
	ErrConnLost = errors.New("memherd: connection lost")
	// ErrTimeout: the per-try Config.Timeout passed before the reply arrived. It is
	// also a context.DeadlineExceeded to errors.Is.
	ErrTimeout error = timeoutError{}
	// ErrServer: the node answered with an error line.
	ErrServer = errors.New("memherd: node answered with an error")
	// ErrDesync: a reply did not belong to its request; the connection was closed.
	ErrDesync = errors.New("memherd: reply out of step with its request")
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("memherd: client is closed")
	// ErrTooFewAcks: fewer copies than MinWriteAcks confirmed the write.
	ErrTooFewAcks = errors.New("memherd: too few copies confirmed the write")
	// ErrPartial: some nodes did what was asked and others failed; it stands beside
	// their failures, and such an error is never SafeToRetry.
	ErrPartial = errors.New("memherd: some nodes have carried the operation out")
	// ErrLeaseLost: the lease was voided by a delete or a write, or has no token
	// any more; the value was not cached.
	ErrLeaseLost = errors.New("memherd: lease lost: the key was deleted or written meanwhile")
)

type timeoutError struct{}

func (timeoutError) Error() string        { return "memherd: timed out waiting for the node" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

var _ net.Error = timeoutError{}

// Sent says how far a failed request got.
type Sent uint8

const (
	// SentUnknown: bytes may have reached the node, so the request may have been
	// executed. It is the zero value: whoever forgets to say is not believed safe.
	SentUnknown Sent = iota
	// NotSent: no byte of the request left; repeating it cannot execute it twice.
	NotSent
	// Answered: the node refused it with an error line; it was not executed as asked.
	Answered
)

func (s Sent) String() string {
	switch s {
	case NotSent:
		return "not sent"
	case Answered:
		return "answered"
	default:
		return "outcome unknown"
	}
}

// Error is a failure of one operation on one node. Its text names the operation and
// the node, never the key.
type Error struct {
	Op   string // "get", "set", …
	Node string // the node's name
	Sent Sent   // how far the request got
	Err  error  // the cause
}

func (e *Error) Error() string {
	if e.Node == "" {
		return "memherd: " + e.Op + ": " + e.Err.Error() + " (" + e.Sent.String() + ")"
	}
	return "memherd: " + e.Op + " on " + e.Node + ": " + e.Err.Error() + " (" + e.Sent.String() + ")"
}

func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the cause was a timeout, as net.Error does.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// SafeToRetry reports whether err says that the operation was sent to no node, so that
// even one that must not run twice may be tried again. (The deletes of the other
// copies that go before a read-modify-write may have been sent: they do no harm twice.)
// false is not "never try again": after SentUnknown it depends on what doing it twice
// would do, after Answered the same request would be refused again. Outcomes (a miss,
// a failed condition) are no failures and return false.
func SafeToRetry(err error) bool {
	switch e := err.(type) {
	case nil:
		return false
	case *Error:
		return e.Sent == NotSent
	case interface{ Unwrap() []error }:
		// Several nodes took part: safe only when it is safe on every one of them.
		causes := e.Unwrap()
		for _, cause := range causes {
			if !SafeToRetry(cause) {
				return false
			}
		}
		return len(causes) > 0
	case interface{ Unwrap() error }:
		return SafeToRetry(e.Unwrap())
	}
	return false
}
