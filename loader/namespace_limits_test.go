package loader_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// A Namespace sets no markers, and so takes no configuration that needs them.
func TestNamespaceRefusesARegion(t *testing.T) {
	master, replica := newOrigin("k", "old"), newOrigin("k", "old")
	_, err := loader.NewNamespace(fakecache.New(2), loader.Config[string]{
		Load: replica.load, Store: master.store, Remove: master.remove, Codec: loader.String{},
		Region: loader.RegionConfig[string]{LoadMaster: master.load},
	}, loader.NamespaceConfig{Name: "n"})
	require.ErrorContains(t, err, "Config.Region")
}

// MaxLoads holds for all generations together: while the cache fails there is a new one every MaxAge.
func TestNamespaceKeepsMaxLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(1)
		c.Fail = func(string) error { return errors.New("down") } // of the cache, all the time
		var running, most atomic.Int64
		n, err := loader.NewNamespace(c, loader.Config[string]{Codec: loader.String{}, MaxLoads: 4, LoadTimeout: 10 * time.Second,
			Load: func(ctx context.Context, key string) (string, error) {
				r := running.Add(1)
				defer running.Add(-1)
				if r > most.Load() {
					most.Store(r)
				}
				time.Sleep(9 * time.Second)
				return "1", nil
			}}, loader.NamespaceConfig{Name: "n"})
		require.NoError(t, err)
		defer n.Close()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() { _, _ = n.Get(t.Context(), fmt.Sprint(i)) })
			time.Sleep(50 * time.Millisecond)
		}
		wg.Wait()
		require.LessOrEqual(t, most.Load(), int64(4))
	})
}

// Load may return another loader's ErrClosed.
func TestNamespaceLoadReturnsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin("k", "1")
		inner := open(t, fakecache.New(1), newOrigin("k", "1"))
		require.NoError(t, inner.Close())
		n, err := loader.NewNamespace(c, loader.Config[string]{Codec: loader.String{}, Load: func(ctx context.Context, key string) (string, error) {
			o.loads.Add(1)
			time.Sleep(time.Millisecond)
			return inner.Get(ctx, key)
		}}, loader.NamespaceConfig{Name: "n"})
		require.NoError(t, err)
		defer n.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = n.Get(ctx, "k")
		require.ErrorIs(t, err, loader.ErrClosed, "after %d loads", o.loads.Load())
		require.EqualValues(t, 1, o.loads.Load())
	})
}
