package loader_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

type nameKey struct{}

// deaf is a cache that never answers a flight's request before its context ends. A caller's own is answered.
type deaf struct {
	*fakecache.Cache
	mu     sync.Mutex // guards what follows
	leased int
	took   map[string]time.Duration
	names  []any
}

func (c *deaf) hang(ctx context.Context, what string) error {
	began := time.Now()
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took[what], c.names = time.Since(began), append(c.names, ctx.Value(nameKey{}))
	return ctx.Err()
}

func (c *deaf) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	c.mu.Lock()
	c.leased++
	polls := c.leased > 2
	c.mu.Unlock()
	if polls {
		return item.Lease{}, c.hang(ctx, "lease")
	}
	return c.Cache.Lease(ctx, key, o)
}

func (c *deaf) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	return item.Outcome{}, c.hang(ctx, "fill")
}

// A request that is made for all who wait for a key ends 5 to 6 s after it began, whatever the cache does, and knows the values of
// its first caller's context.
func TestRequestsOfFlightsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := &deaf{Cache: fakecache.New(1), took: map[string]time.Duration{}}
		load := func(ctx context.Context, _ string) (string, error) {
			time.Sleep(5 * time.Millisecond)
			return "v", nil
		}
		var loaders [2]*loader.Loader[string] // one wins, the other waits and asks again
		var g sync.WaitGroup
		for i := range loaders {
			l, err := loader.New(cache, loader.Config[string]{Load: load, TTL: time.Minute})
			require.NoError(t, err)
			loaders[i] = l
			g.Go(func() {
				v, err := l.Get(context.WithValue(context.Background(), nameKey{}, "me"), "k")
				require.NoError(t, err)
				require.Equal(t, "v", v)
			})
			synctest.Wait()
		}
		g.Wait()
		for _, l := range loaders {
			require.NoError(t, l.Close())
		}
		require.Len(t, cache.took, 2)
		for what, took := range cache.took {
			require.GreaterOrEqual(t, took, 5*time.Second, what)
			require.LessOrEqual(t, took, 6*time.Second, what)
		}
		require.Equal(t, []any{"me", "me"}, cache.names)
	})
}
