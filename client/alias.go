package client

import "github.com/memherd/memherd/client/item"

// The shared types, under the names an application needs beside a Client.
type (
	// Item is one cached value.
	Item = item.Item
	// Lease is a read that may fill, or the tokens of a write-through.
	Lease = item.Lease
	// LeaseOptions change how a lease is taken.
	LeaseOptions = item.LeaseOptions
	// Outcome tells what became of a write on the copies.
	Outcome = item.Outcome
	// Error is a failure of one operation on one node.
	Error = item.Error
)

// TTLs with a meaning of their own.
const (
	NoExpiry = item.NoExpiry
	Expired  = item.Expired
)

// Outcomes, refusals and failures, for errors.Is. Package item documents each.
var (
	ErrCacheMiss    = item.ErrCacheMiss
	ErrNotStored    = item.ErrNotStored
	ErrCASConflict  = item.ErrCASConflict
	ErrNotNumber    = item.ErrNotNumber
	ErrMalformedKey = item.ErrMalformedKey
	ErrTooLarge     = item.ErrTooLarge
	ErrBadTTL       = item.ErrBadTTL
	ErrBadFlags     = item.ErrBadFlags
	ErrNodeDown     = item.ErrNodeDown
	ErrOwnerDown    = item.ErrOwnerDown
	ErrBusy         = item.ErrBusy
	ErrConnLost     = item.ErrConnLost
	ErrTimeout      = item.ErrTimeout
	ErrServer       = item.ErrServer
	ErrDesync       = item.ErrDesync
	ErrClosed       = item.ErrClosed
	ErrTooFewAcks   = item.ErrTooFewAcks
	ErrLeaseLost    = item.ErrLeaseLost
)

// SafeToRetry reports whether err says that nothing was sent, so that even an
// operation that must not run twice may be tried again.
func SafeToRetry(err error) bool { return item.SafeToRetry(err) }
