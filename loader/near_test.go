package loader_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// nearCache is a process's view of a fakecache with a near-cache in front of it, in which every key is hot.
type nearCache struct {
	*fakecache.Cache
	near *hotkey.Near
}

func newNearCache(t require.TestingT, c *fakecache.Cache, x time.Duration) nearCache {
	n, err := hotkey.NewNear(&hotkey.Config{Staleness: x})
	require.NoError(t, err)
	return nearCache{c, n}
}

func (c nearCache) ReadNear(key string) (item.Near, bool) {
	seen, ok := c.near.Look(xxhash.Sum64String(key), key)
	return item.Near{Value: seen.Bytes, At: seen.At, Kept: seen.Kept}, ok
}

func (c nearCache) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	h := xxhash.Sum64String(key)
	if !o.NoNear && o.Refresh == 0 {
		if v, ok := c.near.Get(h, key); ok {
			return item.Lease{Key: key, Level: item.FromNear, Item: item.Item{Key: key, Value: v.Bytes}}, nil
		}
	}
	gen, sent := c.near.Generation(h), time.Now()
	l, err := c.Cache.Lease(ctx, key, o)
	if err == nil && l.State == item.LeaseHit {
		c.near.Put(h, key, hotkey.Value{Bytes: l.Item.Value, TTL: l.Item.TTL}, gen, sent)
	}
	return l, err
}

func (c nearCache) HoldsNear(string) bool { return true }

func (c nearCache) drop(key string) { c.near.Drop(xxhash.Sum64String(key), key) }

func (c nearCache) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	c.drop(l.Key)
	defer c.drop(l.Key)
	return c.Cache.Fill(ctx, l, it)
}

func (c nearCache) FillKeep(ctx context.Context, l item.Lease, it item.Item) (item.Lease, item.Outcome, error) {
	c.drop(l.Key)
	defer c.drop(l.Key)
	return c.Cache.FillKeep(ctx, l, it)
}

func (c nearCache) Delete(ctx context.Context, key string) (item.Outcome, error) {
	c.drop(key)
	defer c.drop(key)
	return c.Cache.Delete(ctx, key)
}

// counted is a String that counts what it decodes.
type counted struct {
	loader.String
	decoded *int
}

func (c counted) Decode(b []byte) (string, error) {
	*c.decoded++
	if string(b) == "unreadable" {
		return "", errors.New("unreadable")
	}
	return c.String.Decode(b)
}

// Three processes' loaders, two of them of one process, against a model: what the near-cache answers is what was decoded
// of bytes that it holds now, so a process sees its own writes at once and others' after X, whatever policy wrote them,
// and no value past its TTL. All Gets are counted once.
func TestNearDecodedAgainstAModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			const x = 50 * time.Millisecond
			o, fake := newOrigin(), fakecache.New(2)
			decoded := 0
			var ls [3]*loader.Loader[string]
			var gets [3]uint64
			caches := [2]nearCache{newNearCache(t, fake, x), newNearCache(t, fake, x)}
			for i := range ls {
				l, err := loader.New[string](caches[i/2], loader.Config[string]{
					Prefix: "p:", TTL: 3 * time.Second, NegativeTTL: 2 * time.Second, Codec: counted{decoded: &decoded},
					Load: o.load, Store: o.store, Remove: o.remove,
					Freshness: loader.Freshness{Beta: -1},
				})
				require.NoError(t, err)
				ls[i] = l
			}
			type version struct {
				value string // "" absent
				by    int
				at    time.Time
			}
			history := map[string][]version{"a": {{}}, "b": {{}}}
			for range rapid.IntRange(1, 150).Draw(t, "steps") {
				key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
				i := rapid.IntRange(0, 2).Draw(t, "loader")
				l := ls[i]
				switch rapid.IntRange(0, 11).Draw(t, "op") {
				case 0, 1:
					v := fmt.Sprint("v", len(history[key]))
					policy := rapid.SampledFrom([]loader.WritePolicy{loader.WriteAround, loader.WriteThrough}).Draw(t, "policy")
					require.NoError(t, l.PutWith(t.Context(), key, v, loader.WriteOptions{Policy: policy}))
					history[key] = append(history[key], version{v, i / 2, time.Now()})
				case 2:
					require.NoError(t, l.Delete(t.Context(), key))
					history[key] = append(history[key], version{"", i / 2, time.Now()})
				case 3:
					time.Sleep(time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond)
				case 4:
					time.Sleep(10 * time.Millisecond)
				default:
					before := decoded
					v, err := l.Get(t.Context(), key)
					gets[i]++
					if err != nil {
						require.ErrorIs(t, err, loader.ErrNotFound)
					}
					// What is past its time by what memory holds, by the answer to the lease and by the flight's own.
					require.LessOrEqual(t, decoded, before+3)
					h := history[key]
					least := 0
					for n, w := range h {
						if w.by == i/2 || time.Since(w.at) >= x {
							least = n
						}
					}
					ok := false
					for _, w := range h[least:] {
						ok = ok || w.value == v
					}
					require.True(t, ok, "read %q, at least %q was due", v, h[least].value)
				}
			}
			for i, l := range ls {
				c := l.Counters()
				require.Equal(t, gets[i], c.NearHits+c.NodeHits+c.NegativeHits+c.Misses)
				require.NoError(t, l.Close())
			}
		})
	})
}

// A value is decoded once for as long as its bytes are held, for Get and GetMulti, and again by a loader that decodes
// otherwise.
func TestNearDecodesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNearCache(t, fakecache.New(1), time.Hour)
		o, decoded := newOrigin("k", "v"), 0
		l := open(t, c, o, func(c *loader.Config[string]) { c.Codec = counted{decoded: &decoded} })
		read := func() {
			v, err := l.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "v", v)
		}
		read() // loads
		read() // decodes what the node has, which is held near now
		require.Equal(t, 1, decoded)
		for range 10 {
			read()
			vs, err := l.GetMulti(t.Context(), []string{"k"})
			require.NoError(t, err)
			require.Equal(t, map[string]string{"k": "v"}, vs)
		}
		require.Equal(t, 2, decoded)
		require.EqualValues(t, 20, l.Counters().NearHits)

		other, err := loader.New[[1]byte](c, loader.Config[[1]byte]{
			Codec: firstByte{}, Load: func(context.Context, string) ([1]byte, error) { return [1]byte{}, errOrigin },
		})
		require.NoError(t, err)
		defer other.Close()
		for range 3 {
			b, err := other.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, [1]byte{'v'}, b)
			read()
		}
		require.Equal(t, 2, decoded)

		// What could be changed by whoever gets it is not shared unasked.
		mutable, err := loader.New[[]byte](c, loader.Config[[]byte]{
			Codec: loader.Bytes{}, Load: func(context.Context, string) ([]byte, error) { return nil, errOrigin },
		})
		require.NoError(t, err)
		defer mutable.Close()
		for range 3 {
			b, err := mutable.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "v", string(b))
			b[0] = 'X' // it is the caller's own
			read()
		}
	})
}

type firstByte struct{}

func (firstByte) Encode(dst []byte, v [1]byte) ([]byte, error) { return append(dst, v[0]), nil }
func (firstByte) Decode(b []byte) ([1]byte, error)             { return [1]byte{b[0]}, nil }

// With ShareDecoded all readers get the same memory.
func TestNearShares(t *testing.T) {
	c := newNearCache(t, fakecache.New(1), time.Hour)
	l, err := loader.New[[]byte](c, loader.Config[[]byte]{
		Codec: loader.Bytes{}, ShareDecoded: true,
		Load: func(context.Context, string) ([]byte, error) { return []byte("v"), nil },
	})
	require.NoError(t, err)
	defer l.Close()
	var seen [4][]byte
	for i := range seen {
		seen[i], err = l.Get(t.Context(), "k")
		require.NoError(t, err)
	}
	require.Same(t, &seen[2][0], &seen[3][0])
	require.NotSame(t, &seen[1][0], &seen[2][0], "the node's answer is decoded for its reader alone")
}

// Times are kept by values that are served from memory, too: due ones are served and refreshed, ended ones loaded.
func TestNearKeepsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "1")
		l := open(t, newNearCache(t, fakecache.New(1), time.Hour), o, func(c *loader.Config[string]) {
			c.TTL, c.Freshness = 10*time.Second, loader.Freshness{Soft: 5 * time.Second, Beta: -1}
		})
		read := func(want string) {
			t.Helper()
			v, err := l.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, want, v)
		}
		read("1")
		read("1")
		time.Sleep(5*time.Second - 1)
		o.set("k", "2")
		read("1")
		require.Zero(t, l.Counters().StaleHits)
		time.Sleep(time.Nanosecond)
		read("1")
		require.EqualValues(t, 1, l.Counters().StaleHits)
		synctest.Wait()
		require.EqualValues(t, 2, o.loads.Load())
		read("2") // from the node
		read("2") // near
		o.set("k", "3")
		time.Sleep(10 * time.Second)
		read("3")
		require.EqualValues(t, 3, o.loads.Load())
		n := l.Counters()
		require.EqualValues(t, 3, n.NearHits)
		require.EqualValues(t, 2, n.NodeHits)
		require.EqualValues(t, 2, n.Misses)
	})
}

// A write that is pending outranks what is held near.
func TestNearBehindThePending(t *testing.T) {
	j, stop := newMemJournal(), make(chan struct{})
	o := newOrigin("k", "old")
	o.onStore = func(string, string) error { <-stop; return nil }
	l := open(t, newNearCache(t, fakecache.New(1), time.Hour), o, func(c *loader.Config[string]) {
		c.Write, c.Back.Journal = loader.WriteBack, j
	})
	for range 3 {
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "old", v)
	}
	require.NoError(t, l.Put(t.Context(), "k", "new"))
	for range 3 {
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "new", v)
	}
	close(stop)
	require.NoError(t, l.Flush(t.Context()))
	v, err := l.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "new", v)
}

// Bytes that can't be read are dealt with as if there were no near-cache.
func TestNearUnreadable(t *testing.T) {
	fake, decoded := fakecache.New(1), 0
	o := newOrigin("k", "unreadable")
	l := open(t, newNearCache(t, fake, time.Hour), o, func(c *loader.Config[string]) { c.Codec = counted{decoded: &decoded} })
	for range 3 {
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "unreadable", v)
	}
	require.Positive(t, l.Counters().Corrupt)
	require.Zero(t, l.Counters().NearHits)
}
