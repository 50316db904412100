package scenario

import (
	"context"
	"errors"
	"sync"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// unleased is a cache without leases: who misses first in this process loads, whatever
// other processes do, and stores what it got as it is. It is what the figures with leases are held against.
type unleased struct {
	*client.Client
	mu      sync.Mutex // guards loading
	loading map[string]bool
}

func newUnleased(c *client.Client) *unleased {
	return &unleased{Client: c, loading: map[string]bool{}}
}

// begin says whether nobody else of this process loads key.
func (u *unleased) begin(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.loading[key] {
		return false
	}
	u.loading[key] = true
	return true
}

func (u *unleased) end(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.loading, key)
}

// Lease gives the right within this process. It is taken before the cache is looked at: who
// gets it behind a load that has ended finds what that one stored.
func (u *unleased) Lease(ctx context.Context, key string, _ item.LeaseOptions) (item.Lease, error) {
	mine := u.begin(key)
	it, err := u.Client.Get(ctx, key)
	switch {
	case errors.Is(err, client.ErrCacheMiss) && mine:
		return item.Lease{Key: key, State: item.LeaseWon}, nil
	case mine:
		u.end(key)
	}
	switch {
	case errors.Is(err, client.ErrCacheMiss):
		return item.Lease{Key: key, State: item.LeaseWait}, nil
	case err != nil:
		return item.Lease{}, err
	}
	return item.Lease{Key: key, State: item.LeaseHit, Level: item.FromNode, Item: it}, nil
}

// LeaseMulti leases one by one.
func (u *unleased) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	leases, errs := make([]item.Lease, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		leases[i], errs[i] = u.Lease(ctx, key, o)
	}
	return leases, errs
}

func (u *unleased) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	defer u.end(l.Key)
	return u.Client.Set(ctx, it)
}

func (u *unleased) Release(_ context.Context, l item.Lease) error {
	u.end(l.Key)
	return nil
}
