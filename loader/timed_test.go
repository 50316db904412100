package loader_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

var _ loader.Timed = (*client.Client)(nil)

// contexts notes what the requests of flights came with: of who wins, and of who waits for it.
type contexts struct {
	*fakecache.Cache
	bound, unbound []string
}

func (c *contexts) note(ctx context.Context, what string) {
	if _, ok := ctx.Deadline(); ok {
		c.bound = append(c.bound, what)
	} else {
		c.unbound = append(c.unbound, what)
	}
}

func (c *contexts) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	c.note(ctx, "lease")
	return c.Cache.Lease(ctx, key, o)
}

func (c *contexts) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	c.note(ctx, "fill")
	return c.Cache.Fill(ctx, l, it)
}

// timed is a cache that ends its calls by itself.
type timed struct {
	*contexts
	after time.Duration
}

func (c timed) Timeout() time.Duration { return c.after }

// A request that is made for all who wait for a key is bounded: by the cache, if it says so, otherwise by the loader.
func TestRequestsOfFlightsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name           string
		of             func(*contexts) loader.Cache
		bound, unbound []string
	}{
		{"an unknown cache", func(c *contexts) loader.Cache { return c }, []string{"fill", "lease"}, []string{"lease", "lease"}},
		{"one that ends soon", func(c *contexts) loader.Cache { return timed{c, time.Second} }, nil, []string{"lease", "lease", "fill", "lease"}},
		{"one that ends late", func(c *contexts) loader.Cache { return timed{c, time.Minute} }, []string{"fill", "lease"}, []string{"lease", "lease"}},
		{"one that says nothing", func(c *contexts) loader.Cache { return timed{c, 0} }, []string{"fill", "lease"}, []string{"lease", "lease"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cache := &contexts{Cache: fakecache.New(1)}
				load := func(ctx context.Context, _ string) (string, error) {
					time.Sleep(time.Millisecond / 2)
					return "v", nil
				}
				one, err := loader.New(c.of(cache), loader.Config[string]{Load: load, TTL: time.Minute})
				require.NoError(t, err)
				other, err := loader.New(c.of(cache), loader.Config[string]{Load: load, TTL: time.Minute})
				require.NoError(t, err)
				go func() {
					time.Sleep(time.Microsecond)
					v, err := other.Get(context.Background(), "k") // waits, and asks once more
					require.NoError(t, err)
					require.Equal(t, "v", v)
				}()
				v, err := one.Get(context.Background(), "k")
				require.NoError(t, err)
				require.Equal(t, "v", v)
				time.Sleep(time.Minute)
				synctest.Wait()
				require.NoError(t, one.Close())
				require.NoError(t, other.Close())
				require.Equal(t, c.bound, cache.bound)
				require.Equal(t, c.unbound, cache.unbound)
			})
		})
	}
}
