package loader_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// oneSlow is a cache whose node of one key does not answer.
type oneSlow struct{ *fakecache.Cache }

func (c oneSlow) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	if key == "k0" {
		<-ctx.Done()
		return item.Lease{}, ctx.Err()
	}
	return c.Cache.Lease(ctx, key, o)
}

// A GetMulti whose context ends returns what is there by then, whatever hangs.
func TestGetMultiReturnsWhatIsThere(t *testing.T) {
	t.Run("a node hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := fakecache.New(1)
			l := open(t, f, newOrigin(), func(c *loader.Config[string]) {
				c.Load = func(context.Context, string) (string, error) { return "1", nil }
			})
			_, err := l.GetMulti(t.Context(), span(0, 50))
			require.NoError(t, err)
			slow := open(t, oneSlow{f}, newOrigin())
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			found, err := slow.GetMulti(ctx, span(0, 50))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Len(t, found, 49)
		})
	})
	t.Run("a load hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, fakecache.New(1), newOrigin(), func(c *loader.Config[string]) {
				c.Load = func(_ context.Context, key string) (string, error) {
					if key == "k0" {
						time.Sleep(5 * time.Second)
					}
					return "1", nil
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			found, err := l.GetMulti(ctx, span(0, 50))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Len(t, found, 49)
		})
	})
}

// LoadMany gets two keys at least.
type meddled struct {
	*fakecache.Cache
	before func()
}

func (m *meddled) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	if m.before != nil {
		m.before()
	}
	leases, errs := make([]item.Lease, len(keys)), make([]error, len(keys))
	for i, k := range keys {
		leases[i], errs[i] = m.Lease(ctx, k, o)
	}
	return leases, errs
}

// LoadMany is called for two keys at least, also if others are handed to who waits for them.
func TestLoadManyOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meddled{Cache: fakecache.New(1)}
		held, err := m.Lease(t.Context(), "a", item.LeaseOptions{})
		require.NoError(t, err)
		o := newOrigin("a", "1", "b", "1")
		var many [][]string
		l := open(t, m, o, func(c *loader.Config[string]) {
			c.LoadMany = func(_ context.Context, keys []string) (map[string]string, error) {
				many = append(many, keys)
				return map[string]string{"a": "1", "b": "1"}, nil
			}
		})
		got := make(chan error, 1)
		m.before = func() {
			go func() { _, err := l.Get(t.Context(), "a"); got <- err }()
			time.Sleep(time.Second + 1)
			synctest.Wait() // it waits for the holder
			require.NoError(t, m.Release(t.Context(), held))
		}
		_, err = l.GetMulti(t.Context(), []string{"a", "b"})
		require.NoError(t, err)
		require.NoError(t, <-got)
		for _, keys := range many {
			require.Greater(t, len(keys), 1, "LoadMany got %v", keys)
		}
	})
}

// A LoadMany may join the errors of its keys: an absence among them excuses no failure.
func TestLoadManyJoinsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(1)
		down := errors.New("a shard of the database is down")
		one := func(_ context.Context, key string) (string, error) {
			switch key {
			case "gone":
				return "", loader.ErrNotFound
			case "failed":
				return "", down
			}
			return "1", nil
		}
		l, err := loader.New(c, loader.Config[string]{Codec: loader.String{}, Load: one,
			LoadMany: func(ctx context.Context, keys []string) (map[string]string, error) {
				found := map[string]string{}
				var errs []error
				for _, k := range keys {
					if v, err := one(ctx, k); err != nil {
						errs = append(errs, err)
					} else {
						found[k] = v
					}
				}
				return found, errors.Join(errs...)
			}})
		require.NoError(t, err)
		defer l.Close()
		_, err = l.GetMulti(t.Context(), []string{"a", "gone", "failed"})
		require.ErrorIs(t, err, down)
	})
}
