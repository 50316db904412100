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
	"github.com/memherd/memherd/ring"
)

// Refresh loads whatever the cache holds, and everybody sees what it stored.
func TestRefresh(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		o := newOrigin("k", "1")
		cfg := loader.Config[string]{Load: o.load}
		a, _ := newProcess(t, nodes, cfg)
		b, _ := newProcess(t, nodes, cfg)
		for _, v := range []string{"1", "2", "3"} {
			o.set("k", v)
			have, err := a.Refresh(context.Background(), "k")
			require.NoError(t, err)
			require.Equal(t, v, have)
			have, err = b.Peek(context.Background(), "k")
			require.NoError(t, err)
			require.Equal(t, v, have)
			have, err = b.Get(context.Background(), "k")
			require.NoError(t, err)
			require.Equal(t, v, have)
		}
		require.EqualValues(t, 3, o.loads.Load())
		require.NoError(t, o.remove(context.Background(), "k"))
		_, err := a.Refresh(context.Background(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		_, err = b.Peek(context.Background(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
	})
}

func TestRefreshFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		l := open(t, c, o, func(c *loader.Config[string]) { c.NegativeTTL = -1 })
		got(t, l, "1")
		o.hook = func(string) error { return errDown }
		_, err := l.Refresh(t.Context(), "k")
		require.ErrorIs(t, err, errDown)
		got(t, l, "1")
		_, err = l.Refresh(t.Context(), "missing")
		require.ErrorIs(t, err, errDown)
		_, ok := c.Peek(0, "missing")
		require.False(t, ok, "the lease was handed back")
		o.hook = nil

		// What is written meanwhile stays; the caller has what was read.
		o.slow = time.Second
		o.after = func(string) { o.after = nil; require.NoError(t, l.Put(t.Context(), "k", "2")) }
		v, err := l.Refresh(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "1", v)
		v, err = l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "2", v)

		// A caller that leaves does not stop it; another process's load is waited for.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		o.set("k", "3")
		_, err = l.Refresh(ctx, "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * time.Second)
		got(t, l, "3")
		loads := o.loads.Load()
		other := open(t, c, o)
		done := make(chan error, 1)
		go func() { _, err := other.Get(t.Context(), "new"); done <- err }()
		synctest.Wait()
		o.set("new", "4")
		v, err = l.Refresh(t.Context(), "new")
		require.NoError(t, err)
		require.Equal(t, "4", v)
		require.ErrorIs(t, <-done, loader.ErrNotFound)
		require.Equal(t, loads+2, o.loads.Load())

		// The origin has it no more, and absences are not remembered.
		require.NoError(t, o.remove(t.Context(), "k"))
		_, err = l.Refresh(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		_, ok = c.Peek(0, "k")
		require.False(t, ok)

		// Caches that can do less, or nothing.
		o.set("k", "5")
		for i := range 2 {
			plainly := open(t, plain{c}, o)
			v, err = plainly.Refresh(t.Context(), "k")
			require.NoError(t, err, i)
			require.Equal(t, "5", v)
		}
		c.Fail = func(string) error { return errors.New("down") }
		v, err = l.Refresh(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "5", v)
		_, err = open(t, c, o, func(c *loader.Config[string]) { c.FailClosed = true }).Refresh(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrCacheDown)

		_, err = l.Refresh(t.Context(), "not a key")
		require.ErrorIs(t, err, item.ErrMalformedKey)
		require.NoError(t, l.Close())
		_, err = l.Refresh(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrClosed)
	})
}

// Peek looks and touches nothing.
func TestPeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		l := open(t, c, o, soft)
		_, err := l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, item.ErrCacheMiss)
		_, ok := c.Peek(0, "k")
		require.False(t, ok, "no stub")
		got(t, l, "1")
		time.Sleep(30 * time.Second) // due
		leases := c.Calls("Lease")
		v, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "1", v)
		synctest.Wait()
		require.EqualValues(t, 1, o.loads.Load())
		require.Equal(t, leases, c.Calls("Lease"))
		time.Sleep(30 * time.Second)
		_, err = l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, item.ErrCacheMiss)
		c.Plant("foreign", []byte("bytes"))
		_, err = l.Peek(t.Context(), "foreign")
		require.ErrorIs(t, err, item.ErrCacheMiss)
		down := errors.New("down")
		c.Fail = func(string) error { return down }
		_, err = l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, down)
		_, err = l.Peek(t.Context(), "")
		require.ErrorIs(t, err, item.ErrMalformedKey)
		_, err = open(t, &fixed{}, o).Peek(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNoReader)
		require.NoError(t, l.Close())
		_, err = l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrClosed)
	})
}
