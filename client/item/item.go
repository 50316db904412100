package item

import "time"

// FlagZero is what stands on the wire for user flags of 0. A lease stub, the
// placeholder a node makes when the right to fill a missing key is given out, has
// flags 0 and size 0 (memcached's protocol.txt, mg flag N); an empty value stored
// with flags 0 could not be told from one. The client therefore stores flags 0 as
// FlagZero and gives 0 back on reads, and refuses FlagZero itself with ErrBadFlags.
const FlagZero uint32 = 1 << 30

// NoExpiry is the TTL of an item that stays until it is evicted or deleted.
const NoExpiry time.Duration = 0

// Expired is the one negative TTL a write accepts: the node treats the item as
// already expired. Any other negative TTL is refused with ErrBadTTL.
const Expired time.Duration = -1 << 62

// Until is the TTL that ends at, counted from now: give it to the call or the Item that is written next.
// A time that has passed, the zero time included, is Expired.
func Until(at time.Time) time.Duration {
	if left := time.Until(at); left > 0 {
		return left
	}
	return Expired
}

// Item is one cached value, and no larger than it must be (88 bytes): reads return it by value, and a map of many has room for
// more than it holds. Items are passed by value; Value is never retained by
// a write after it returned, and a Value that was read belongs to the caller unless
// the reading call says otherwise.
type Item struct {
	// Key is 1 to 250 bytes, none of them a space, a control character or DEL, unless
	// the client's Config.Keys takes others.
	Key string
	// Value may be empty. nil and empty are the same to a node.
	Value []byte
	// Flags are the caller's 32 bits, stored beside the value. All values but
	// FlagZero may be used; clients in other languages often keep the type of the
	// value there.
	Flags uint32
	// TTL is how long a written item lives: 0 (NoExpiry) is for ever, anything
	// positive is rounded up to whole seconds, which is all a node can count, and is 2
	// seconds at least: a node's clock ticks once a second, so that an item may end up
	// to a second early, and 1 at once. A number alone counts nanoseconds: 600 is two seconds,
	// as 1 is. More than 30 days is fine. A point in time is given as Until(at).
	// On reads it is the remaining life where the read asked for it, else 0.
	TTL time.Duration
	// CAS is the token a Gets returned, for CompareAndSwap. It is valid on the
	// node and in the connection life it came from (see Version).
	CAS uint64
	// Version says which node, and which life of the connection to it, the CAS
	// belongs to. CompareAndSwap refuses a token whose node has been lost since:
	// a restarted node counts its tokens from the start again.
	Version Version
}

// Version places a CAS token: the token means something on one node and within one
// epoch of it only. The zero Version belongs to no node.
type Version struct {
	Node string // name of the node the token came from
	Life uint64 // the client's count of that node's connection lives
}
