package loader_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// batches is an origin that keeps which keys came together.
type batches struct {
	mu   sync.Mutex
	took time.Duration // each call
	all  [][]string
}

func (b *batches) store(keys ...string) {
	time.Sleep(b.took)
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(keys)
	b.all = append(b.all, keys)
}

// stored returns what has come since the last call.
func (b *batches) stored() [][]string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

func (b *batches) open(t *testing.T, workers int, linger time.Duration) *loader.Loader[string] {
	l, err := loader.New(fakecache.Multi{Cache: fakecache.New(2)}, loader.Config[string]{
		Load:  func(context.Context, string) (string, error) { return "", loader.ErrNotFound },
		Store: func(_ context.Context, key, _ string) error { b.store(key); return nil }, Codec: loader.String{}, Write: loader.WriteBack,
		Back: loader.BackConfig[string]{Journal: newMemJournal(), Workers: workers, MaxBatch: 3, MaxPending: 4, Linger: linger,
			StoreMany: func(_ context.Context, ws []loader.Write[string]) error {
				var keys []string
				for _, w := range ws {
					keys = append(keys, w.Key)
				}
				b.store(keys...)
				return nil
			}},
	})
	require.NoError(t, err)
	return l
}

// A worker waits for more writes for as long as Linger says, and not when there are enough, or when somebody waits
// for a write to reach the origin, or for room.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{}
		l, ctx := b.open(t, 1, time.Minute), t.Context()
		put := func(keys ...string) {
			for _, key := range keys {
				require.NoError(t, l.Put(ctx, key, "v"))
			}
		}
		put("a", "b", "a")
		require.Empty(t, b.stored())
		time.Sleep(time.Minute)
		require.Equal(t, [][]string{{"a", "b"}}, b.stored())
		begun := time.Now()
		put("c", "d", "e")
		require.Equal(t, [][]string{{"c", "d", "e"}}, b.stored(), "MaxBatch")
		put("f")
		require.NoError(t, l.Flush(ctx))
		require.Equal(t, [][]string{{"f"}}, b.stored(), "Flush")
		put("g")
		require.NoError(t, l.PutWith(ctx, "g", "w", loader.WriteOptions{Policy: loader.WriteAround}))
		require.Equal(t, [][]string{{"g"}, {"g"}}, b.stored(), "another policy")
		put("h")
		require.NoError(t, l.PutMulti(ctx, map[string]string{"i": "v", "j": "v", "k": "v", "l": "v"}))
		require.Contains(t, slices.Concat(b.stored()...), "h", "room")
		put("m")
		require.NoError(t, l.Close())
		require.Contains(t, slices.Concat(b.stored()...), "m", "Close")
		require.Zero(t, time.Since(begun), "nobody has waited")
	})
}

// By default a worker waits as long as its last transaction took, and after a single write not at all.
func TestLingerAsLongAsATransaction(t *testing.T) {
	for _, never := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := &batches{took: 10 * time.Millisecond}
			linger := time.Duration(0)
			if never {
				linger = -1
			}
			l, ctx := b.open(t, 1, linger), t.Context()
			wait := func() { time.Sleep(b.took); synctest.Wait() }
			require.NoError(t, l.Put(ctx, "a", "v"))
			synctest.Wait()
			require.NoError(t, l.Put(ctx, "b", "v"))
			require.NoError(t, l.Put(ctx, "c", "v"))
			wait()
			require.Equal(t, [][]string{{"a"}}, b.stored(), "at once")
			wait()
			require.Equal(t, [][]string{{"b", "c"}}, b.stored(), "behind it")
			require.NoError(t, l.Put(ctx, "d", "v"))
			wait()
			if !never {
				require.Empty(t, b.stored(), "it waited")
				wait()
			}
			require.Equal(t, [][]string{{"d"}}, b.stored())
			require.NoError(t, l.Put(ctx, "e", "v"))
			wait()
			require.Equal(t, [][]string{{"e"}}, b.stored(), "at once")
			require.NoError(t, l.Close())
		})
	}
}

// What has come while a worker lingered, and is too much for it, is another's, who does not wait until that one is back.
func TestLingerLeavesTheRestToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{took: 10 * time.Minute}
		l := b.open(t, 2, time.Minute)
		require.NoError(t, l.Put(t.Context(), "a", "v"))
		synctest.Wait() // a worker lingers
		require.NoError(t, l.PutMulti(t.Context(), map[string]string{"b": "v", "c": "v", "d": "v"}))
		time.Sleep(12 * time.Minute)
		require.Len(t, slices.Concat(b.stored()...), 4)
		require.NoError(t, l.Close())
	})
}
