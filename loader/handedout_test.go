package loader_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// LoadMany may sort the keys it is given, for locks in one order: what it returns goes by key all the same.
func TestLoadManySortsItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(2)
		l, err := loader.New(c, loader.Config[string]{
			Codec: loader.String{},
			Load:  func(_ context.Context, key string) (string, error) { return "value of " + key, nil },
			LoadMany: func(_ context.Context, keys []string) (map[string]string, error) {
				slices.Sort(keys) // for locks in one order, or an index
				m := map[string]string{}
				for _, k := range keys {
					m[k] = "value of " + k
				}
				return m, nil
			},
		})
		require.NoError(t, err)
		defer l.Close()
		keys := span(0, 10)
		got, err := l.GetMulti(t.Context(), keys)
		require.NoError(t, err)
		bad := 0
		for _, k := range keys {
			if got[k] != "value of "+k {
				bad++
			}
		}
		worse := 0
		for _, k := range keys {
			if v, err := l.Get(t.Context(), k); err != nil || v != "value of "+k {
				worse++
			}
		}
		require.Zero(t, bad, "values of other keys from GetMulti; from the cache afterwards: %d", worse)
	})
}

// StoreMany may sort its writes: none is lost when the batch fails.
func TestStoreManySortsItsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j, o := fakecache.New(2), newMemJournal(), newOrigin()
		bad := errors.New("a constraint")
		var mended atomic.Bool
		o.onStore = func(key, _ string) error {
			if key == "b" && !mended.Load() {
				return bad
			}
			return nil
		}
		l := open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) {
			b.Workers, b.Linger = 1, time.Second
			b.StoreMany = func(ctx context.Context, ws []loader.Write[string]) error {
				slices.SortFunc(ws, func(a, b loader.Write[string]) int { return strings.Compare(a.Key, b.Key) }) // or rows are locked crosswise
				for _, w := range ws {
					if w.Key == "b" && !mended.Load() {
						return bad // all or nothing
					}
				}
				for _, w := range ws {
					_ = o.store(ctx, w.Key, w.Value)
				}
				return nil
			}
		}))
		require.NoError(t, l.Put(t.Context(), "b", "1"))
		require.NoError(t, l.Put(t.Context(), "a", "1"))
		time.Sleep(3 * time.Second) // the batch is tried, then each by itself
		mended.Store(true)
		require.NoError(t, l.Flush(t.Context()))
		require.Zero(t, j.left())
		o.mu.Lock()
		defer o.mu.Unlock()
		require.Equal(t, map[string]string{"a": "1", "b": "1"}, o.rows, "Flush has returned nil, and the journal is empty")
	})
}

// DeadLetter may clear the bytes it is shown: the write that it keeps is as it was.
func TestDeadLetterChangesData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j, o := fakecache.New(1), newMemJournal(), newOrigin()
		var mended atomic.Bool
		o.onStore = func(string, string) error {
			if !mended.Load() {
				return errors.New("down")
			}
			return nil
		}
		l := open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) {
			b.MaxAttempts = 1
			b.DeadLetter = func(d loader.DeadWrite[string]) loader.Verdict {
				clear(d.Data) // not to be seen in dumps
				return loader.KeepWrite
			}
		}))
		require.NoError(t, l.Put(t.Context(), "k", "secret"))
		time.Sleep(time.Second)
		mended.Store(true)
		require.NoError(t, l.Flush(t.Context()))
		o.mu.Lock()
		defer o.mu.Unlock()
		require.Equal(t, "secret", o.rows["k"])
	})
}
