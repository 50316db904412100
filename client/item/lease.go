package item

import "time"

// LeaseState is what a read with a lease found.
type LeaseState uint8

const (
	// LeaseHit: Item holds the value; there is nothing to fill.
	LeaseHit LeaseState = iota
	// LeaseWon: the key is missing (or marked stale, then Item holds the stale value
	// and Stale is set) and this caller has the right to fill it. It must Fill or
	// Release: until it does, or the lease time passes, everyone else waits.
	LeaseWon
	// LeaseWait: another caller has the right to fill. Item holds the stale value
	// when Stale is set; otherwise ask again after a jittered pause.
	LeaseWait
	// LeaseNone: the key is missing and no copy could give a token (all copies
	// unreachable, or out of memory). Load without caching.
	LeaseNone
	// LeaseWrite: tokens for a write-through, taken whatever the key held.
	LeaseWrite
	// LeaseRefresh: Item holds a live value, and this caller has the right to replace
	// it (LeaseOptions.Refresh). It must Fill or Release; nobody waits for it.
	LeaseRefresh
)

func (s LeaseState) String() string {
	switch s {
	case LeaseHit:
		return "hit"
	case LeaseWon:
		return "won"
	case LeaseWait:
		return "wait"
	case LeaseNone:
		return "none"
	case LeaseWrite:
		return "write"
	case LeaseRefresh:
		return "refresh"
	}
	return "unknown"
}

// TokenKind says what stood on a copy when its token was taken.
type TokenKind uint8

const (
	// TokenValue: an ordinary value.
	TokenValue TokenKind = iota
	// TokenStub: nothing; a placeholder was made, or stood there already.
	TokenStub
	// TokenStale: a value marked stale.
	TokenStale
)

// Token is the right to change one copy of a key if nobody changed it since: a CAS
// value read from that copy. It is valid on that node and in that life only.
type Token struct {
	Version
	CAS  uint64
	Kind TokenKind
	// Won says that this token was the one everyone else waits for: it has to be
	// used or given back.
	Won bool
}

// Level says who answered a read.
type Level uint8

const (
	// FromNone: nobody had it.
	FromNone Level = iota
	// FromNear: the near-cache in this process.
	FromNear
	// FromNode: a memcached node.
	FromNode
)

// Lease is the answer to a read that may fill, or the tokens of a write-through. It
// is a plain value: it may be copied, and used once by Fill or Release.
type Lease struct {
	Key   string
	State LeaseState
	// Item is the value on a hit, or the stale one when Stale is set.
	Item  Item
	Stale bool
	// Refreshing says, of a live value, that another caller has won the right to
	// refresh it and has not stored a new one yet.
	Refreshing bool
	// Held is for how long another caller has had the right to fill, with LeaseWait: a guess, 0 if there is
	// nothing to guess from.
	Held time.Duration
	// Asked is when the request that Item answers was sent, set if LeaseOptions.Refresh was.
	Asked time.Time
	// Level says where a hit was found.
	Level Level
	// Tokens has one token per copy that gave one, the home copy's first. A copy
	// without a token is not filled.
	Tokens []Token
	// Copies is how many copies the key should have in the placement the lease was
	// taken under, Placement that placement's number: after a membership change
	// the lease is void.
	Copies    int
	Placement uint64
	// Gutter is the name under which the key is on a gutter node, if the lease is of that one;
	// empty otherwise.
	Gutter string
	// Generation is the near-cache's generation before the first request was sent.
	Generation uint64
}

// Marked reports whether the home copy gave the right to fill to this caller alone. It is false of
// a LeaseRefresh that was forced, or that comes from a node without meta commands.
func (l *Lease) Marked() bool { return len(l.Tokens) > 0 && l.Tokens[0].Won }

// LeaseOptions change how a lease is taken. The zero value is a good choice.
type LeaseOptions struct {
	// TTL is how long the right to fill stays with the winner before another caller
	// may win it: 0 means the client's default (10 s); clamped to 2 s to 60 s.
	TTL time.Duration
	// NoNear skips the near-cache.
	NoNear bool
	// Home asks the home copy and no other: not the near-cache, no copy in the own zone,
	// none beside a slow owner, no hedge, and none after it failed.
	Home bool
	// Refresh, if not 0, asks for the right to replace a live value before it ends: the
	// remaining life that the caller has seen (Item.TTL, or its own reckoning; counted
	// up to whole seconds). One caller in the fleet gets LeaseRefresh; the others, and
	// whoever asks after the value was stored anew with a longer life, get LeaseHit.
	// A key that is missing is leased as ever. The near-cache is not asked. Nodes
	// without meta commands have no such mark: there everybody who asks gets it.
	Refresh time.Duration
	// Force, with Refresh, takes the right whoever else has it: for the value whose
	// refresher seems to have died, and for those who must load anew. Whose fill comes
	// second is refused.
	Force bool
}

// Outcome tells what became of a write or a delete on the copies of a key.
type Outcome struct {
	// Copies is how many copies the key has, Confirmed how many of them answered.
	Copies, Confirmed int
	// Refused counts copies that answered no: a voided token, or a value the node
	// would not take.
	Refused int
	// Owed counts copies that did not answer and will be told by a delete once they
	// are back. Reads of this client do not use such a copy before.
	Owed int
	// Found says, for deletes, whether any copy held the key.
	Found bool
	// Gutter says that the value of a Set is on a gutter node, because no copy could be
	// reached: for a short time, and the copies are owed a delete.
	Gutter bool
}
