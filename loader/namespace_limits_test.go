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

// A generation that is drawn while a copy is away does not give way to the one before when that copy, which still has it, is back: the other had
// evicted it, as it does with what is read from the owner alone.
func TestNamespaceAfterALostCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		n, other := namespace(t, c, o, loader.NamespaceConfig{Name: "ns"}), namespace(t, c, o, loader.NamespaceConfig{Name: "ns"})
		get := namespaceGets(t)
		get(n, "old")
		get(other, "old")
		c.Evict(1, "app:gen:ns")
		c.SetDown(0, true)
		time.Sleep(2 * time.Second)
		get(other, "old")
		get(n, "old")
		require.EqualValues(t, 2, o.loads.Load(), "one more, in a generation that both know")
		require.NoError(t, n.Put(t.Context(), "k", "new"))
		get(n, "new")
		get(other, "new")
		loads := o.loads.Load()
		time.Sleep(2 * time.Second)
		get(n, "new")
		get(other, "new")
		require.Equal(t, loads, o.loads.Load(), "the generation lives on while the copy is away")
		c.SetDown(0, false)
		time.Sleep(2 * time.Second)
		get(n, "new")
		get(other, "new")
	})
}

// Nor does it give way to the one before when a copy did not take it, and is the only one later.
func TestNamespaceAfterAHalfFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		n := namespace(t, c, o, loader.NamespaceConfig{Name: "ns"})
		get := func(want string) {
			t.Helper()
			v, err := n.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, want, v)
		}
		get("old")
		c.Evict(0, "app:gen:ns")
		time.Sleep(2 * time.Second)
		var failed atomic.Bool
		c.Step = func(op string, copy int) error {
			if op == "ms" && copy == 1 && !failed.Swap(true) {
				return fakecache.ErrDown
			}
			return nil
		}
		get("old")
		require.True(t, failed.Load())
		require.NoError(t, n.Put(t.Context(), "k", "new"))
		get("new")
		c.SetDown(0, true)
		time.Sleep(2 * time.Second)
		get("new")
	})
}

// An Invalidate of many keys may take as long as its context, as that of a Loader may.
func TestNamespaceInvalidateTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin()
		n := namespace(t, c, o, loader.NamespaceConfig{Name: "ns"})
		keys := span(0, 10_000)
		c.Fail = func(method string) error {
			if method == "Delete" {
				time.Sleep(100 * time.Millisecond) // 64 at a time: 16 s in all
			}
			return nil
		}
		require.NoError(t, n.Invalidate(t.Context(), keys...))
		require.Equal(t, len(keys), c.Calls("Delete"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, n.Invalidate(ctx, keys...), context.DeadlineExceeded)
		require.Less(t, c.Calls("Delete"), 2*len(keys), "it leaves the rest out when its context ends")
	})
}
