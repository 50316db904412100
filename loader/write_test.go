package loader_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

func policies(t *testing.T, f func(t *testing.T, policy func(*loader.Config[string]))) {
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		t.Run(p.String(), func(t *testing.T) {
			f(t, func(c *loader.Config[string]) { c.Write = p })
		})
	}
}

func mustGet(t *testing.T, l *loader.Loader[string], want string) {
	t.Helper()
	v, err := l.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, want, v)
}

func TestPutThenGet(t *testing.T) {
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		l, other := open(t, c, o, policy), open(t, c, o)
		mustGet(t, l, "old")
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		loads := o.loads.Load()
		mustGet(t, l, "new")
		mustGet(t, other, "new")
		if policyOf(policy) == loader.WriteThrough {
			require.Equal(t, loads, o.loads.Load(), "written through, it is in the cache")
			for i := range 2 {
				e, ok := c.Peek(i, "k")
				require.True(t, ok && !e.Stub, "copy %d", i)
			}
		} else {
			require.Equal(t, loads+1, o.loads.Load())
		}
		require.NoError(t, l.Delete(t.Context(), "k"))
		_, err := other.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
	})
}

func policyOf(f func(*loader.Config[string])) loader.WritePolicy {
	var c loader.Config[string]
	f(&c)
	return c.Write
}

// The origin's error is returned and the key is dropped: the origin may have either
// value. So with a panic and Goexit in Store.
func TestStoreFaultsDropTheKey(t *testing.T) {
	boom := errors.New("commit: connection reset")
	faults := map[string]func(){
		"error":  func() {},
		"panic":  func() { panic(boom) },
		"goexit": func() { runtime.Goexit() },
	}
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		for name, fault := range faults {
			c, o := fakecache.New(2), newOrigin("k", "old")
			l := open(t, c, o, policy)
			mustGet(t, l, "old")
			o.onStore = func(k, v string) error { o.set(k, v); fault(); return boom }
			done := make(chan error, 1)
			go func() {
				err := errors.New("did not return")
				defer func() { _ = recover(); done <- err }()
				err = l.Put(t.Context(), "k", "new")
			}()
			err := <-done
			if name == "error" {
				require.ErrorIs(t, err, boom)
			}
			for i := range 2 {
				_, ok := c.Peek(i, "k")
				require.False(t, ok, "%s: copy %d", name, i)
			}
			mustGet(t, l, "new")
		}
	})
}

// The caller leaves right after the origin took the write: the cache is told anyway.
func TestPutOutlivesItsContext(t *testing.T) {
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		l := open(t, c, o, policy)
		mustGet(t, l, "old")
		ctx, cancel := context.WithCancel(t.Context())
		o.onStore = func(string, string) error { cancel(); return nil }
		require.NoError(t, l.Put(ctx, "k", "new"))
		mustGet(t, l, "new")

		mustGet(t, l, "new")
		ctx, cancel = context.WithCancel(t.Context())
		l2 := open(t, c, o, policy, func(cfg *loader.Config[string]) {
			cfg.Remove = func(ctx context.Context, key string) error { cancel(); return o.remove(ctx, key) }
		})
		require.NoError(t, l2.Delete(ctx, "k"))
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
	})
}

// With copies unreachable a Put succeeds, says what is owed, and this client's readers
// see the new value before and after the copies are back.
func TestPutWithCopiesDown(t *testing.T) {
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		for _, down := range [][]int{{0}, {1}, {0, 1}} {
			c, o := fakecache.New(2), newOrigin("k", "old")
			owed := 0
			l := open(t, c, o, policy, func(c *loader.Config[string]) {
				c.Hooks.Owed = func(key string, out item.Outcome) {
					require.Equal(t, "k", key)
					owed += out.Owed
				}
			})
			mustGet(t, l, "old")
			for _, i := range down {
				c.SetDown(i, true)
			}
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			require.Equal(t, len(down), owed)
			require.EqualValues(t, len(down), l.Counters().Owed)
			mustGet(t, l, "new")
			for _, i := range down {
				c.SetDown(i, false)
			}
			mustGet(t, l, "new")
		}
	})
}

// A cache that can neither delete nor book is an error: the old value may be served.
func TestPutNotInvalidated(t *testing.T) {
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		l := open(t, c, o, policy)
		mustGet(t, l, "old")
		c.Fail = func(string) error { return item.ErrClosed }
		err := l.Put(t.Context(), "k", "new")
		require.ErrorIs(t, err, loader.ErrNotInvalidated)
		require.ErrorIs(t, err, item.ErrClosed)
		require.ErrorIs(t, l.Delete(t.Context(), "k"), loader.ErrNotInvalidated)
		require.ErrorIs(t, l.Invalidate(t.Context(), "k", "j"), loader.ErrNotInvalidated)
		boom := errors.New("commit failed")
		o.onStore = func(string, string) error { return boom }
		err = l.Put(t.Context(), "k", "newer")
		require.ErrorIs(t, err, boom)
		require.ErrorIs(t, err, loader.ErrNotInvalidated)
		n := l.Counters()
		require.EqualValues(t, 2, n.PutErrors)
		require.EqualValues(t, 3, n.DeleteErrors)
		c.Fail = nil
		o.set("k", "newest")
		require.NoError(t, l.Invalidate(t.Context(), "k"))
		mustGet(t, l, "newest")
	})
}

// A write during a flight: those who waited get what the flight read, nobody who comes
// after the write does, and it is not cached.
func TestWriteVoidsTheFlight(t *testing.T) {
	writes := map[string]func(l *loader.Loader[string], o *origin) error{
		"Put":    func(l *loader.Loader[string], _ *origin) error { return l.Put(context.Background(), "k", "new") },
		"Delete": func(l *loader.Loader[string], _ *origin) error { return l.Delete(context.Background(), "k") },
		"Invalidate": func(l *loader.Loader[string], o *origin) error {
			o.set("k", "new")
			return l.Invalidate(context.Background(), "k")
		},
	}
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		for name, write := range writes {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "old")
				o.slow = time.Second
				l := open(t, c, o, policy)
				first := make(chan string, 1)
				go func() { v, _ := l.Get(t.Context(), "k"); first <- v }()
				synctest.Wait()
				require.NoError(t, write(l, o), name)
				v, err := l.Get(t.Context(), "k")
				if name == "Delete" {
					require.ErrorIs(t, err, loader.ErrNotFound)
				} else {
					require.NoError(t, err)
					require.Equal(t, "new", v, name)
				}
				require.Equal(t, "old", <-first)
				require.EqualValues(t, 1, l.Counters().Voided, name)
				require.Zero(t, l.Counters().LeaseLost)
			})
		}
	})
}

// A write-through during a flight keeps its tokens: the flight's end does not take
// them away, so the value written is in the cache.
func TestWriteThroughSupersedesTheFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		o.slow = time.Second
		o.onStore = func(string, string) error { time.Sleep(2 * time.Second); return nil }
		l := open(t, c, o, writeThrough)
		go func() { _, _ = l.Get(t.Context(), "k") }()
		synctest.Wait()
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		mustGet(t, l, "new")
		require.EqualValues(t, 1, o.loads.Load())
		require.Zero(t, l.Counters().LeaseLost)
	})
}

func TestInvalidateMany(t *testing.T) {
	c, o := fakecache.New(2), newOrigin()
	l := open(t, c, o)
	keys := make([]string, 500)
	for i := range keys {
		keys[i] = "key" + string(rune('一'+i))
		o.set(keys[i], "1")
		_, err := l.Get(t.Context(), keys[i])
		require.NoError(t, err)
	}
	require.NoError(t, l.Invalidate(t.Context(), keys...))
	require.NoError(t, l.Invalidate(t.Context()))
	for _, k := range keys {
		for i := range 2 {
			_, ok := c.Peek(i, k)
			require.False(t, ok)
		}
	}
	require.EqualValues(t, 500, l.Counters().Deletes)
}

// Without a cache nothing but the loader keeps a later Get from an older load.
func TestWriteVoidsALoadWithoutCache(t *testing.T) {
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		synctest.Test(t, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "old")
			o.slow = time.Second
			l := open(t, c, o, policy)
			c.SetDown(0, true)
			c.SetDown(1, true)
			first := make(chan string, 50)
			for range 50 {
				go func() { v, _ := l.Get(t.Context(), "k"); first <- v }()
				synctest.Wait()
			}
			require.EqualValues(t, 1, o.loads.Load())
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			mustGet(t, l, "new")
			for range 50 {
				require.Equal(t, "old", <-first)
			}
			require.EqualValues(t, 2, o.loads.Load())
		})
	})
}
