package loader_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// rows is an origin of numbers 0 to 99 that counts what it is asked for.
type rows struct {
	mu      sync.Mutex
	loads   map[string]int // by key
	queries [][]string     // of LoadMany
	slow    time.Duration
	fault   func(keys []string) error // called when the rows have been read
}

func (r *rows) read(ctx context.Context, keys ...string) (map[string]string, error) {
	out := map[string]string{}
	r.mu.Lock()
	if r.loads == nil {
		r.loads = map[string]int{}
	}
	for _, k := range keys {
		r.loads[k]++
		var n int
		if _, err := fmt.Sscanf(k, "k%d", &n); err == nil && n < 100 {
			out[k] = "v" + k
		}
	}
	r.mu.Unlock()
	if r.slow > 0 {
		select {
		case <-time.After(r.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if r.fault != nil {
		return out, r.fault(keys)
	}
	return out, nil
}

func (r *rows) load(ctx context.Context, key string) (string, error) {
	out, err := r.read(ctx, key)
	if v, ok := out[key]; ok && err == nil {
		return v, nil
	}
	return "", cmpErr(err, loader.ErrNotFound)
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (r *rows) loadMany(ctx context.Context, keys []string) (map[string]string, error) {
	r.mu.Lock()
	r.queries = append(r.queries, slices.Sorted(slices.Values(keys)))
	r.mu.Unlock()
	return r.read(ctx, keys...)
}

func (r *rows) open(t *testing.T, c loader.Cache, many bool, mod ...func(*loader.Config[string])) *loader.Loader[string] {
	return open(t, c, newOrigin(), append([]func(*loader.Config[string]){func(c *loader.Config[string]) {
		c.Load = r.load
		if many {
			c.LoadMany = r.loadMany
		}
	}}, mod...)...)
}

func span(from, to int) (keys []string) {
	for i := from; i < to; i++ {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	return keys
}

func values(keys []string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		out[k] = "v" + k
	}
	return out
}

// readAll reads keys, all of which are there. It may run beside the test's own goroutine.
func readAll(t *testing.T, l *loader.Loader[string], keys []string) {
	got, err := l.GetMulti(context.Background(), keys)
	if err != nil || !maps.Equal(got, values(keys)) {
		t.Errorf("%v %v", got, err)
	}
}

// loadedOnce requires that n keys were loaded, and each of them once.
func (r *rows) loadedOnce(t *testing.T, n int) {
	t.Helper()
	for k, times := range r.loads {
		require.Equal(t, 1, times, k)
	}
	require.Len(t, r.loads, n)
}

// What is missing is loaded by one query, what is not there is remembered, and what was loaded is
// found by all afterwards, whatever the cache and the loader can do at once.
func TestGetMulti(t *testing.T) {
	for _, many := range []bool{true, false} {
		for _, multi := range []bool{true, false} {
			t.Run(fmt.Sprintf("LoadMany %v, MultiLeaser %v", many, multi), func(t *testing.T) {
				f, r := fakecache.New(2), &rows{}
				c := loader.Cache(f)
				if multi {
					c = fakecache.Multi{Cache: f}
				}
				l := r.open(t, c, many, func(c *loader.Config[string]) { c.Prefix = "rows:" })
				_, err := l.Get(t.Context(), "k0")
				require.NoError(t, err)
				asked := append(span(0, 20), "k5", "k500", "nobody")
				for range 2 {
					got, err := l.GetMulti(t.Context(), asked)
					require.NoError(t, err)
					require.Equal(t, values(span(0, 20)), got)
				}
				for _, k := range append(span(0, 20), "k500", "nobody") {
					require.Equal(t, 1, r.loads[k], k)
				}
				n := l.Counters()
				if many {
					require.Equal(t, [][]string{slices.Sorted(slices.Values(append(span(1, 20), "k500", "nobody")))}, r.queries)
					require.EqualValues(t, 1, n.ManyLoads)
					require.EqualValues(t, 1, n.Loads)
				} else {
					require.EqualValues(t, 22, n.Loads)
				}
				if multi {
					require.Equal(t, 2, f.Calls("LeaseMulti"))
				}
				require.EqualValues(t, 1+2*22, n.NodeHits+n.NegativeHits+n.Misses)
				require.EqualValues(t, 2, n.NotFound)
				for i := range 2 {
					_, ok := f.Peek(i, "rows:k7")
					require.True(t, ok, "copy %d", i)
				}
			})
		}
	}
}

// Overlapping calls of many and of one key, in two processes: each key is loaded once.
func TestGetMultiStampede(t *testing.T) {
	for range scaled(20) {
		c, r := fakecache.Multi{Cache: fakecache.New(2)}, &rows{}
		ls := []*loader.Loader[string]{r.open(t, c, true), r.open(t, c, true)}
		var wg sync.WaitGroup
		for i := range 60 {
			l := ls[i%2]
			wg.Go(func() {
				if i%3 == 0 {
					v, err := l.Get(context.Background(), "k12")
					if err != nil || v != "vk12" {
						t.Errorf("%q %v", v, err)
					}
					return
				}
				readAll(t, l, span(i%10, i%10+20))
			})
		}
		wg.Wait()
		r.loadedOnce(t, 29)
	}
}

// What of a query fails is told by key, reaches those who joined, and is tried again at once by
// the next; the rest is good.
func TestGetMultiFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault func([]string) error
		check func(t *testing.T, err error)
	}{
		"error":  {func([]string) error { return errDown }, func(t *testing.T, err error) { require.ErrorIs(t, err, errDown) }},
		"panic":  {func([]string) error { panic(errDown) }, func(t *testing.T, err error) { require.ErrorIs(t, err, errDown) }},
		"goexit": {func([]string) error { return loadFaults["goexit"]() }, func(t *testing.T, err error) { require.ErrorIs(t, err, loader.ErrLoadExited) }},
		"timeout": {func([]string) error { time.Sleep(time.Hour); return nil }, func(t *testing.T, err error) {
			require.ErrorIs(t, err, loader.ErrLoadTimeout)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rows{}
				c := fakecache.Multi{Cache: fakecache.New(2)}
				works := r.open(t, c, true)
				_, err := works.GetMulti(t.Context(), span(0, 2))
				require.NoError(t, err)
				bad := &rows{fault: tc.fault}
				l := bad.open(t, c, true, func(c *loader.Config[string]) {
					c.LoadMany = func(ctx context.Context, keys []string) (map[string]string, error) {
						_, err := bad.loadMany(ctx, keys)
						return map[string]string{"k2": "vk2"}, err // what it could read by then
					}
				})
				got, err := l.GetMulti(t.Context(), span(0, 5))
				var m *loader.MultiError
				require.ErrorAs(t, err, &m)
				want, lost := values(span(0, 2)), span(2, 5)
				if name == "error" {
					want, lost = values(span(0, 3)), span(3, 5)
				}
				require.Equal(t, want, got)
				require.Equal(t, lost, slices.Sorted(maps.Keys(m.Errs)))
				for _, err := range m.Errs {
					tc.check(t, err)
				}
				require.EqualError(t, err, fmt.Sprintf("memherd: %d of 5 keys failed", len(lost)))
				tc.check(t, err)
				began := time.Now()
				got, err = works.GetMulti(t.Context(), span(0, 5))
				require.NoError(t, err)
				require.Equal(t, values(span(0, 5)), got)
				require.Zero(t, time.Since(began), "the leases were handed back")
			})
		})
	}
}

// A caller that leaves gets what was there; the load goes on for others.
func TestGetMultiCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{slow: time.Second}
		l := r.open(t, fakecache.Multi{Cache: fakecache.New(2)}, true)
		_, err := l.Get(t.Context(), "k0")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		found, err := l.GetMulti(ctx, span(0, 5))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, values(span(0, 1)), found)
		found, err = l.GetMulti(t.Context(), span(0, 5))
		require.NoError(t, err)
		require.Equal(t, values(span(0, 5)), found)
		require.Len(t, r.queries, 1)
	})
}

func TestGetMultiRefuses(t *testing.T) {
	f, r := fakecache.New(1), &rows{}
	l := r.open(t, f, true)
	_, err := l.GetMulti(t.Context(), []string{"k1", "not a key"})
	require.ErrorIs(t, err, item.ErrMalformedKey)
	require.ErrorContains(t, err, "key 2 of 2")
	found, err := l.GetMulti(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, found)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.GetMulti(ctx, span(0, 2))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, l.Close())
	_, err = l.GetMulti(t.Context(), span(0, 2))
	require.ErrorIs(t, err, loader.ErrClosed)
	require.Zero(t, f.Calls("Lease"))
}

// With the cache down every key is loaded without it, or fails if FailClosed says so.
func TestGetMultiCacheDown(t *testing.T) {
	for _, closed := range []bool{false, true} {
		f, r := fakecache.New(1), &rows{}
		f.Fail = func(string) error { return errors.New("down") }
		l := r.open(t, f, true, func(c *loader.Config[string]) { c.FailClosed = closed })
		found, err := l.GetMulti(t.Context(), span(0, 5))
		if closed {
			require.ErrorIs(t, err, loader.ErrCacheDown)
			require.Empty(t, found)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, values(span(0, 5)), found)
		require.EqualValues(t, 5, l.Counters().FailOpen)
	}
}

// A Put while a query runs voids that key's fill and no other.
func TestGetMultiVoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{slow: time.Second}
		f := fakecache.New(2)
		l := r.open(t, fakecache.Multi{Cache: f}, true)
		done := make(chan error, 1)
		go func() { _, err := l.GetMulti(t.Context(), span(0, 5)); done <- err }()
		synctest.Wait()
		require.NoError(t, l.Put(t.Context(), "k3", "new"))
		require.NoError(t, <-done)
		for i, k := range span(0, 5) {
			_, ok := f.Peek(0, k)
			require.Equal(t, i != 3, ok, k)
		}
		require.EqualValues(t, 1, l.Counters().Voided)
	})
}
