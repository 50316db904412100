package loader

import (
	"context"

	"github.com/memherd/memherd/client/item"
)

// Cache is what a Loader needs from the cache; *client.Client implements it. All
// methods are safe for concurrent use and return soon after ctx ends.
type Cache interface {
	// Lease reads key and, on a miss, asks for the right to fill it. The value of a hit whose Level is
	// item.FromNode is its caller's own: nobody else reads or changes it. A cache that does not
	// know LeaseOptions.Refresh answers such a request with LeaseHit as any other: values past
	// their TTL are deleted then, and none is refreshed while it lives.
	Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error)
	// LeaseWrite takes a token on every reachable copy, whatever the copies hold.
	LeaseWrite(ctx context.Context, key string) (item.Lease, error)
	// Fill stores it under the tokens of l. It must not keep it.Value. A refusal by
	// the home copy is item.ErrLeaseLost. Under a lease of LeaseWrite any refusal
	// means that the key has been deleted, or is owed, on every copy.
	Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error)
	// Release hands an unused win back, so that the next caller wins at once. It
	// does nothing to a key that changed since, and may follow a Fill that failed.
	Release(ctx context.Context, l item.Lease) error
	// Delete removes key from every copy or books what it could not reach as owed.
	Delete(ctx context.Context, key string) (item.Outcome, error)
}

// Keeper is implemented by a Cache that tells the tokens of what it stored, as
// *client.Client does. With one, WriteBack leaves a value cached after it has reached the
// origin; without, it deletes the key then.
type Keeper interface {
	// FillKeep is Fill of a lease of LeaseWrite, and returns a lease for another Fill
	// that stores on every copy if nobody has changed the key on any of them since, and
	// deletes it everywhere otherwise.
	FillKeep(ctx context.Context, l item.Lease, it item.Item) (item.Lease, item.Outcome, error)
}

// SetKeeper is implemented by a Cache that makes of LeaseWrite and FillKeep, where nothing is done in
// between, one round trip, as *client.Client does.
type SetKeeper interface {
	// SetKeep stores it on every copy, whatever they hold, and returns what FillKeep does.
	SetKeep(ctx context.Context, it item.Item) (item.Lease, item.Outcome, error)
}

// MultiKeeper is implemented by a Cache that fills many keys at once, as *client.Client does.
type MultiKeeper interface {
	// FillKeepMulti is Keeper's FillKeep for each lease, all of different keys, with the item at its
	// position. What it returns is in that order, too. The loader uses both slices again when it has returned.
	FillKeepMulti(ctx context.Context, leases []item.Lease, items []item.Item) ([]item.Lease, []item.Outcome, []error)
}

// MultiLeaser is implemented by a Cache that leases many keys at once, as *client.Client
// does. Leases and errors are in the order of keys, which are all different; a lease counts if its
// error is nil. If ctx has ended no lease is left won whose error is not nil.
type MultiLeaser interface {
	LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error)
}

// Reader is implemented by a Cache that reads without leasing, as *client.Client does, for
// Peek. A miss is item.ErrCacheMiss.
type Reader interface {
	Get(ctx context.Context, key string) (item.Item, error)
}

// TTLReader is implemented by a Reader whose GetTTL is Get, and tells Item.TTL, which its Get need not do, as *client.Client
// does. See Freshness for what that is good for. Peek reads by it, so that a type which embeds a *client.Client and has a Get of
// its own needs a GetTTL as well.
type TTLReader interface {
	GetTTL(ctx context.Context, key string) (item.Item, error)
}

// KeyChecker is implemented by a Cache that takes other keys than item.CheckKey
// allows, as *client.Client does with Config.Keys. CheckKey returns nil if key may be
// used, and must always say the same of one key.
type KeyChecker interface {
	CheckKey(key string) error
}
