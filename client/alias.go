package client

import (
	"time"

	"github.com/memherd/memherd/client/item"
)

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

// Until is the TTL that ends at a point in time, counted from now, Expired if that has passed.
func Until(at time.Time) time.Duration { return item.Until(at) }

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
	ErrNilContext   = item.ErrNilContext
	ErrNodeDown     = item.ErrNodeDown
	ErrOwnerDown    = item.ErrOwnerDown
	ErrBusy         = item.ErrBusy
	ErrConnLost     = item.ErrConnLost
	ErrTimeout      = item.ErrTimeout
	ErrServer       = item.ErrServer
	ErrDesync       = item.ErrDesync
	ErrClosed       = item.ErrClosed
	ErrTooFewAcks   = item.ErrTooFewAcks
	ErrPartial      = item.ErrPartial
	ErrLeaseLost    = item.ErrLeaseLost
)

// SafeToRetry reports whether err says that the operation was sent to no node, so that
// even one that must not run twice may be tried again: a counter, an Append. false is
// for everything else: nobody knows (Error.Sent is SentUnknown), a node refused it
// (Answered), some copies or keys have it, or err is an outcome such as a miss.
func SafeToRetry(err error) bool { return item.SafeToRetry(err) }
