package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

func TestGetLoadsOnceThenHits(t *testing.T) {
	c, o := fakecache.New(2), newOrigin("k", "v")
	l := open(t, c, o, func(c *loader.Config[string]) { c.Prefix = "users:" })
	for range 3 {
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "v", v)
	}
	require.EqualValues(t, 1, o.loads.Load())
	for i := range 2 {
		e, ok := c.Peek(i, "users:k")
		require.True(t, ok && !e.Stub, "copy %d", i)
	}
	n := l.Counters()
	require.EqualValues(t, 1, n.Misses)
	require.EqualValues(t, 2, n.NodeHits)
	require.EqualValues(t, 1, n.Loads)
}

// An empty value is a value, not a stub and not a miss.
func TestEmptyValueIsCached(t *testing.T) {
	o := newOrigin("k", "")
	l := open(t, fakecache.New(2), o)
	for range 2 {
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Empty(t, v)
	}
	require.EqualValues(t, 1, o.loads.Load())
}

func TestTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "v")
		l := open(t, fakecache.New(2), o, func(c *loader.Config[string]) {
			c.TTL, c.NegativeTTL = 20*time.Second, 3*time.Second
		})
		get := func(key string, wantLoads int64) {
			t.Helper()
			_, err := l.Get(t.Context(), key)
			require.True(t, err == nil || errors.Is(err, loader.ErrNotFound), err)
			require.Equal(t, wantLoads, o.loads.Load())
		}
		get("k", 1)
		get("none", 2)
		get("none", 2)
		time.Sleep(2 * time.Second)
		get("none", 2)
		time.Sleep(2 * time.Second) // past NegativeTTL
		get("none", 3)
		get("k", 3)
		time.Sleep(17 * time.Second) // past TTL
		get("k", 4)
		require.EqualValues(t, 2, l.Counters().NegativeHits)
		require.EqualValues(t, 2, l.Counters().NotFound)
		require.Zero(t, l.Counters().LoadErrors)
	})
}

func TestNotFound(t *testing.T) {
	t.Run("wrapped and remembered", func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		o.hook = func(string) error { return fmt.Errorf("table users: %w", loader.ErrNotFound) }
		l := open(t, c, o)
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		require.ErrorContains(t, err, "table users", "the one who loads gets Load's own error")
		_, err = l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		require.EqualValues(t, 1, o.loads.Load())
		require.NoError(t, l.Put(t.Context(), "k", "v"))
		o.hook = nil
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err, "a Put ends the absence")
		require.Equal(t, "v", v)
	})
	t.Run("off", func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		l := open(t, c, o, func(c *loader.Config[string]) { c.NegativeTTL = -1 })
		for i := range 3 {
			_, err := l.Get(t.Context(), "k")
			require.ErrorIs(t, err, loader.ErrNotFound)
			require.EqualValues(t, i+1, o.loads.Load())
			_, ok := c.Peek(0, "k")
			require.False(t, ok, "the lease was handed back")
		}
	})
}

func TestForeignBytesAreAMiss(t *testing.T) {
	for name, raw := range map[string]string{"empty": "", "json": `{"a":1}`, "magic": "\xd7\x01\x01\x10 not an envelope"} {
		t.Run(name, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "v")
			var seen []string
			l := open(t, c, o, func(c *loader.Config[string]) {
				c.Prefix = "p:"
				c.Hooks.Corrupt = func(key string, err error) { seen = append(seen, key+" "+err.Error()) }
			})
			c.Plant("p:k", []byte(raw))
			for range 2 {
				v, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, "v", v)
			}
			require.EqualValues(t, 1, o.loads.Load())
			require.EqualValues(t, 1, l.Counters().Corrupt)
			require.Len(t, seen, 1)
			require.True(t, strings.HasPrefix(seen[0], "k memherd: cached bytes are foreign"), seen[0])
		})
	}
}

// A writer that keeps planting foreign bytes costs loads, never answers.
func TestForeignBytesForever(t *testing.T) {
	c, o := fakecache.New(2), newOrigin("k", "v")
	l := open(t, c, o)
	c.Step = func(op string, i int) error {
		if op == "mg" {
			c.Plant("k", []byte("foreign"))
		}
		return nil
	}
	v, err := l.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "v", v)
	require.EqualValues(t, 1, l.Counters().FailOpen)
	require.EqualValues(t, 1, o.loads.Load())
}

// oddCodec panics on what it cannot read and on what it should not write.
type oddCodec struct{ loader.String }

func (oddCodec) Encode(dst []byte, v string) ([]byte, error) {
	switch v {
	case "panic":
		panic("codec bug")
	case "error":
		return nil, errors.New("cannot")
	case "replace":
		return []byte("I forgot dst"), nil
	}
	return append(dst, v...), nil
}

func (oddCodec) Decode(b []byte) (string, error) {
	if string(b) == "bad" {
		panic("codec bug")
	}
	return string(b), nil
}

func TestCodecFaults(t *testing.T) {
	for _, v := range []string{"panic", "error", "replace"} {
		c, o := fakecache.New(2), newOrigin("k", v)
		var why error
		odd := func(c *loader.Config[string]) {
			c.Codec = oddCodec{}
			c.Hooks.NotCached = func(_ string, err error) { why = err }
		}
		l := open(t, c, o, odd)
		got, err := l.Get(t.Context(), "k")
		require.NoError(t, err, "a value that cannot be encoded is still a value")
		require.Equal(t, v, got)
		require.Error(t, why)
		_, ok := c.Peek(0, "k")
		require.False(t, ok, "the lease was handed back")
		w := open(t, c, newOrigin(), odd, writeThrough)
		require.Error(t, w.Put(t.Context(), "k", v), "nothing is written that cannot be encoded")
		w = open(t, c, newOrigin(), odd, writeBack(newMemJournal()))
		require.Error(t, w.Put(t.Context(), "k", v), "nor journalled")
	}
	c, o := fakecache.New(2), newOrigin("k", "bad")
	l := open(t, c, o, func(c *loader.Config[string]) { c.Codec = oddCodec{} })
	for i := range 3 {
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "bad", v)
		require.EqualValues(t, i, l.Counters().Corrupt)
	}
}

func TestTooLargeIsNotCached(t *testing.T) {
	big := strings.Repeat("x", 101)
	c, o := fakecache.New(2), newOrigin("k", big, "fits", big[:100])
	limit := func(c *loader.Config[string]) { c.MaxValueBytes = 100 }
	l := open(t, c, o, limit)
	for range 2 {
		for key, want := range map[string]string{"k": big, "fits": big[:100]} {
			v, err := l.Get(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, want, v)
		}
	}
	require.EqualValues(t, 3, o.loads.Load())
	require.EqualValues(t, 2, l.Counters().NotCached)

	// Written through, it replaces a smaller one: that must be gone.
	w := open(t, c, o, limit, writeThrough)
	require.NoError(t, w.Put(t.Context(), "fits", big))
	v, err := w.Get(t.Context(), "fits")
	require.NoError(t, err)
	require.Equal(t, big, v)
}

func TestFailOpenAndClosed(t *testing.T) {
	broken := errors.New("no route to any node")
	for name, failing := range map[string]error{"error": broken, "no copy": nil} {
		t.Run(name, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "v")
			c.Fail = func(string) error { return failing }
			c.SetDown(0, true)
			c.SetDown(1, true)
			var why []error
			l := open(t, c, o, func(c *loader.Config[string]) {
				c.Hooks.FailOpen = func(key string, err error) { why = append(why, err) }
			})
			for range 2 {
				v, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, "v", v)
			}
			require.EqualValues(t, 2, l.Counters().FailOpen)
			require.Len(t, why, 2)
			require.Zero(t, c.Calls("Fill"))

			shut := open(t, c, o, func(c *loader.Config[string]) { c.FailClosed = true })
			_, err := shut.Get(t.Context(), "k")
			require.ErrorIs(t, err, loader.ErrCacheDown)
			if failing != nil {
				require.ErrorIs(t, err, broken)
			}
			require.EqualValues(t, 2, o.loads.Load())
		})
	}
}

// A node that refuses the fill costs the cached value, not the answer; nobody waits
// for the lease.
func TestFillFails(t *testing.T) {
	c, o := fakecache.New(2), newOrigin("k", "v")
	c.Fail = func(method string) error {
		if method == "Fill" {
			return item.ErrTooLarge
		}
		return nil
	}
	l := open(t, c, o)
	v, err := l.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "v", v)
	require.EqualValues(t, 1, l.Counters().NotCached)
	_, ok := c.Peek(0, "k")
	require.False(t, ok, "the lease was handed back")
}

// Every Get is counted once, whatever way it was answered.
func TestCountersAddUp(t *testing.T) {
	c, o := fakecache.New(2), newOrigin("a", "1", "b", "2")
	l := open(t, c, o)
	var wg sync.WaitGroup
	const callers, gets = 8, 50
	for g := range callers {
		wg.Go(func() {
			for i := range gets {
				_, _ = l.Get(context.Background(), string(rune('a'+(g+i)%4)))
				if i%10 == 9 {
					_ = l.Invalidate(context.Background(), "a", "c")
				}
			}
		})
	}
	wg.Wait()
	n := l.Counters()
	require.EqualValues(t, callers*gets, n.NearHits+n.NodeHits+n.NegativeHits+n.Misses)
	require.EqualValues(t, o.loads.Load(), n.Loads)
	require.EqualValues(t, callers*gets/10*2, n.Deletes)
	require.GreaterOrEqual(t, n.Misses, n.Waits)
}

// Hits are counted by who answered.
func TestHitLevels(t *testing.T) {
	c := fakecache.New(1)
	_, err := open(t, c, newOrigin("k", "v")).Get(t.Context(), "k")
	require.NoError(t, err)
	e, _ := c.Peek(0, "k")
	f := &fixed{lease: item.Lease{State: item.LeaseHit, Level: item.FromNear, Item: item.Item{Value: e.Value}}}
	l := open(t, f, newOrigin())
	mustGet(t, l, "v")
	mustGet(t, l, "v")
	f.lease.Level = item.FromNode
	mustGet(t, l, "v")
	n := l.Counters()
	require.EqualValues(t, 2, n.NearHits)
	require.EqualValues(t, 1, n.NodeHits)
	require.Zero(t, n.Misses)
}
