package loader_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// namespaceGets returns a Get of "k" that must bring want.
func namespaceGets(t *testing.T) func(n *loader.Namespace[string], want string) {
	return func(n *loader.Namespace[string], want string) {
		t.Helper()
		v, err := n.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
}

func namespace(t *testing.T, c loader.Cache, o *origin, ns loader.NamespaceConfig) *loader.Namespace[string] {
	t.Helper()
	n, err := loader.NewNamespace(c, loader.Config[string]{
		Load: o.load, Store: o.store, Remove: o.remove, Codec: loader.String{}, Prefix: "app:",
	}, ns)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// All values go at once where InvalidateAll was called, after MaxAge elsewhere, and in no
// other namespace; until then none is loaded twice.
func TestInvalidateAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		a := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant1"})
		b := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant1", MaxAge: 3 * time.Second})
		asks := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant1", MaxAge: -1})
		other := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant2"})
		read := func(n *loader.Namespace[string], want string) {
			t.Helper()
			for i := range 20 {
				v, err := n.Get(t.Context(), fmt.Sprint(i))
				require.NoError(t, err)
				require.Equal(t, want, v)
			}
		}
		write := func(v string) { // by other means
			for i := range 20 {
				o.set(fmt.Sprint(i), v)
			}
		}
		write("1")
		for _, n := range []*loader.Namespace[string]{a, b, asks, other} {
			read(n, "1")
		}
		require.EqualValues(t, 40, o.loads.Load(), "shared by the processes, not by the namespaces")
		write("2")
		require.NoError(t, a.InvalidateAll(t.Context()))
		read(a, "2")
		read(asks, "2")
		read(b, "1") // it may, for its MaxAge
		time.Sleep(3*time.Second + 1)
		read(b, "2")
		read(other, "1")
		require.EqualValues(t, 60, o.loads.Load())
	})
}

// A generation that a node has evicted never comes again: everything is loaded anew.
func TestEvictedGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin("k", "old")
		n := namespace(t, c, o, loader.NamespaceConfig{Name: "ns"})
		get := func(want string) {
			v, err := n.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, want, v)
		}
		get("old")
		o.set("k", "new")
		_, ok := c.Peek(0, "app:gen:ns")
		require.True(t, ok)
		c.Evict(0, "app:gen:ns")
		get("old") // remembered
		time.Sleep(time.Second + 1)
		get("new")
	})
}

// A write reaches the key that others read even if this process remembers a generation
// that is gone, and one that changes while the origin is being written.
func TestWritesFollowTheGeneration(t *testing.T) {
	for _, at := range []string{"before", "during"} {
		synctest.Test(t, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "old")
			a := namespace(t, c, o, loader.NamespaceConfig{Name: "ns", MaxAge: time.Hour})
			b := namespace(t, c, o, loader.NamespaceConfig{Name: "ns", MaxAge: time.Hour})
			get := namespaceGets(t)
			get(a, "old")
			change := func() {
				require.NoError(t, b.InvalidateAll(t.Context()))
				get(b, "old") // cached under the new generation
			}
			if at == "before" {
				change()
			} else {
				o.onStore = func(string, string) error { change(); return nil }
			}
			require.NoError(t, a.Put(t.Context(), "k", "new"))
			get(b, "new")
			get(a, "new")
			o.onStore = nil
			require.NoError(t, a.Delete(t.Context(), "k"))
			_, err := b.Get(t.Context(), "k")
			require.ErrorIs(t, err, loader.ErrNotFound)
			o.set("k", "back")
			require.NoError(t, b.Invalidate(t.Context(), "k"))
			get(a, "back")
			o.onStore = func(string, string) error { return errOrigin }
			require.ErrorIs(t, a.Put(t.Context(), "k", "v"), errOrigin)
		})
	}
}

// Reads, writes and changes of the generation at once, in two processes that ask the
// cache each time: no read returns less than what was written, or invalidated, before it.
func TestNamespaceUnderFire(t *testing.T) {
	c := fakecache.New(2)
	var written atomic.Int64 // what the origin has for sure
	var store sync.Mutex
	var row int64
	cfg := loader.Config[int64]{
		Load: func(context.Context, string) (int64, error) {
			store.Lock()
			defer store.Unlock()
			return row, nil
		},
		Store: func(_ context.Context, _ string, v int64) error {
			store.Lock()
			defer store.Unlock()
			row = max(row, v)
			return nil
		},
	}
	var ns []*loader.Namespace[int64]
	for range 2 {
		n, err := loader.NewNamespace(c, cfg, loader.NamespaceConfig{Name: "ns", MaxAge: -1})
		require.NoError(t, err)
		ns = append(ns, n)
	}
	rounds := scaled(300)
	var wg sync.WaitGroup
	for i := range 8 {
		n := ns[i%2]
		wg.Go(func() {
			for r := range rounds {
				switch {
				case i < 2 && r%5 == 0:
					if err := n.InvalidateAll(t.Context()); err != nil {
						panic(err)
					}
				case i < 4:
					v := int64(r*8 + i)
					if err := n.Put(t.Context(), "k", v); err != nil {
						panic(err)
					}
					for {
						old := written.Load()
						if old >= v || written.CompareAndSwap(old, v) {
							break
						}
					}
				default:
					least := written.Load()
					v, err := n.Get(t.Context(), "k")
					if err != nil || v < least {
						panic(fmt.Sprint("read ", v, " after ", least, " was written: ", err))
					}
				}
			}
		})
	}
	wg.Wait()
	for _, n := range ns {
		require.NoError(t, n.Close())
	}
}

func TestNamespaceRefuses(t *testing.T) {
	o := newOrigin("k", "v")
	good := loader.Config[string]{Load: o.load}
	for says, bad := range map[string]func() (loader.Cache, loader.Config[string], loader.NamespaceConfig){
		"needs a cache": func() (loader.Cache, loader.Config[string], loader.NamespaceConfig) {
			return nil, good, loader.NamespaceConfig{Name: "n"}
		},
		"NamespaceConfig.Name": func() (loader.Cache, loader.Config[string], loader.NamespaceConfig) {
			return fakecache.New(1), good, loader.NamespaceConfig{Name: "a b"}
		},
		"Config.Write": func() (loader.Cache, loader.Config[string], loader.NamespaceConfig) {
			cfg := good
			cfg.Write = loader.WriteThrough
			return fakecache.New(1), cfg, loader.NamespaceConfig{Name: "n"}
		},
		"Config.Consistency": func() (loader.Cache, loader.Config[string], loader.NamespaceConfig) {
			cfg := good
			cfg.Consistency = loader.Strong
			return fakecache.New(1), cfg, loader.NamespaceConfig{Name: "n"}
		},
		"Config.Load is nil": func() (loader.Cache, loader.Config[string], loader.NamespaceConfig) {
			return fakecache.New(1), loader.Config[string]{}, loader.NamespaceConfig{Name: "n"}
		},
		"have 191 bytes together": func() (loader.Cache, loader.Config[string], loader.NamespaceConfig) {
			cfg := good
			cfg.Prefix = strings.Repeat("p", 190)
			return fakecache.New(1), cfg, loader.NamespaceConfig{Name: "n"}
		},
	} {
		c, cfg, ns := bad()
		_, err := loader.NewNamespace(c, cfg, ns)
		require.ErrorContains(t, err, says)
	}
	c := fakecache.New(1)
	n, err := loader.NewNamespace(c, good, loader.NamespaceConfig{Name: "n"})
	require.NoError(t, err)
	require.ErrorIs(t, n.Put(t.Context(), "k", "v"), loader.ErrNoStore)
	_, err = n.Get(t.Context(), "a b")
	require.ErrorIs(t, err, item.ErrMalformedKey)
	require.NoError(t, n.Close())
	require.NoError(t, n.Close())
	_, err = n.Get(t.Context(), "k")
	require.ErrorIs(t, err, loader.ErrClosed)
	require.ErrorIs(t, n.InvalidateAll(t.Context()), loader.ErrClosed)
	require.ErrorIs(t, n.Invalidate(t.Context(), "k"), loader.ErrClosed)
}

// What is written while the cache is away is not undone when the cache is back, and with it the generation before.
func TestNamespaceAfterAnOutage(t *testing.T) {
	for name, write := range map[string]func(n *loader.Namespace[string], o *origin) error{
		"Put": func(n *loader.Namespace[string], _ *origin) error { return n.Put(context.Background(), "k", "new") },
		"Invalidate": func(n *loader.Namespace[string], o *origin) error {
			o.set("k", "new")
			return n.Invalidate(context.Background(), "k")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "old")
				n, other := namespace(t, c, o, loader.NamespaceConfig{Name: "ns"}), namespace(t, c, o, loader.NamespaceConfig{Name: "ns"})
				get := namespaceGets(t)
				get(n, "old")
				get(other, "old")
				c.SetDown(0, true)
				c.SetDown(1, true)
				require.NoError(t, write(n, o))
				get(n, "new")
				c.SetDown(0, false)
				c.SetDown(1, false)
				time.Sleep(2 * time.Second)
				get(n, "new")
				get(other, "new")
				loads := o.loads.Load()
				require.NoError(t, n.Invalidate(t.Context(), "other"))
				get(n, "new")
				require.Equal(t, loads, o.loads.Load(), "a write while the cache answers ends no generation")
			})
		})
	}
}
