package loader_test

import (
	"context"
	"errors"
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

// These are tests of features that meet: reads of many keys, refreshes and looks with
// write-back, markers, Strong and the audit.

// queries makes o load many keys at once, too, and keeps what it was asked for.
type queries struct {
	mu    sync.Mutex // guards asked
	asked [][]string
}

func (q *queries) of(o *origin) func(*loader.Config[string]) {
	return func(c *loader.Config[string]) { c.LoadMany = q.loadMany(o.load) }
}

func (q *queries) loadMany(load func(context.Context, string) (string, error)) func(context.Context, []string) (map[string]string, error) {
	return func(ctx context.Context, keys []string) (map[string]string, error) {
		q.mu.Lock()
		q.asked = append(q.asked, slices.Sorted(slices.Values(keys)))
		q.mu.Unlock()
		out := map[string]string{}
		for _, k := range keys {
			v, err := load(ctx, k)
			switch {
			case err == nil:
				out[k] = v
			case !errors.Is(err, loader.ErrNotFound):
				return out, err
			}
		}
		return out, nil
	}
}

func mustGetMulti(t *testing.T, l *loader.Loader[string], want map[string]string, keys ...string) {
	t.Helper()
	got, err := l.GetMulti(t.Context(), keys)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// spy counts the leases that were not of the home copy.
type spy struct {
	fakecache.Multi
	mu    sync.Mutex // guards what follows
	homes int
	other int
}

func (s *spy) note(o item.LeaseOptions, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Home {
		s.homes += n
	} else {
		s.other += n
	}
}

func (s *spy) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	s.note(o, 1)
	return s.Multi.Lease(ctx, key, o)
}

func (s *spy) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	s.note(o, len(keys))
	return s.Multi.LeaseMulti(ctx, keys, o)
}

func strong(c *loader.Config[string]) { c.Consistency = loader.Strong }

// All reads see what this process has put and the origin does not have yet, though the
// copies have lost it and another process has cached the origin's old value.
func TestPendingWritesAreReadByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := fakecache.New(2), newOrigin("k", "old", "gone", "old", "other", "other")
		down := breaks(o)
		var q queries
		l := open(t, f, o, writeBack(newMemJournal()), q.of(o))
		other := open(t, f, o)
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		for i := range 2 {
			f.Evict(i, "k")
		}
		mustGet(t, other, "old")
		loads := o.loads.Load()
		mustGetMulti(t, l, map[string]string{"k": "new", "other": "other"}, "k", "other", "missing")
		require.Equal(t, [][]string{{"missing", "other"}}, q.asked)
		require.Equal(t, loads+2, o.loads.Load())
		v, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "new", v)
		v, err = l.Refresh(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "new", v)
		require.Equal(t, loads+2, o.loads.Load())
		require.EqualValues(t, 2, l.Counters().Back.Reads, "GetMulti's and Refresh's; Peek is not counted")
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		mustGetMulti(t, other, map[string]string{"k": "new"}, "k")
	})
}

// So with a delete that is pending.
func TestPendingDeletesAreReadByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o, hold := fakecache.New(2), newOrigin("k", "old"), make(chan struct{})
		l := open(t, f, o, writeBack(newMemJournal()), func(c *loader.Config[string]) {
			c.Remove = func(ctx context.Context, key string) error {
				<-hold
				return o.remove(ctx, key)
			}
		})
		require.NoError(t, l.Delete(t.Context(), "k"))
		mustGetMulti(t, l, map[string]string{}, "k")
		_, err := l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		_, err = l.Refresh(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		close(hold)
		require.NoError(t, l.Flush(t.Context()))
	})
}

// A LoadMany that read the origin before a write was accepted gives the written value, or
// none for a delete, also when it fails for the rest.
func TestLoadManyLooksBehindItself(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, o := fakecache.New(2), newOrigin("k", "old", "gone", "old", "a", "a")
			down := breaks(o)
			var l *loader.Loader[string]
			l = open(t, f, o, writeBack(newMemJournal()), func(c *loader.Config[string]) {
				c.Remove = func(ctx context.Context, key string) error {
					if err := down.err(); err != nil {
						return err
					}
					return o.remove(ctx, key)
				}
				c.LoadMany = func(_ context.Context, keys []string) (map[string]string, error) {
					require.NoError(t, l.Put(t.Context(), "k", "new"))
					require.NoError(t, l.Delete(t.Context(), "gone"))
					if fails {
						return nil, errOrigin
					}
					return maps.Clone(o.rows), nil
				}
			})
			got, err := l.GetMulti(t.Context(), []string{"k", "gone", "a"})
			if fails {
				require.Equal(t, map[string]string{"k": "new"}, got)
				var e *loader.MultiError
				require.ErrorAs(t, err, &e)
				require.Equal(t, map[string]error{"a": errOrigin}, e.Errs)
			} else {
				require.NoError(t, err)
				require.Equal(t, map[string]string{"k": "new", "a": "a"}, got)
			}
			down.end()
			require.NoError(t, l.Flush(t.Context()))
		})
	}
}

// What write-back stores has the times of any other value: past Soft it is refreshed.
func TestWriteBackStoresWithTimes(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, o := fakecache.New(2), newOrigin()
			fresh := func(c *loader.Config[string]) {
				c.Freshness = loader.Freshness{Soft: 10 * time.Second, IfError: time.Minute}
			}
			down := breaks(o)
			l, other := open(t, f, o, writeBack(newMemJournal()), fresh), open(t, f, o, fresh)
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			if flushed {
				down.end()
				require.NoError(t, l.Flush(t.Context()))
			}
			time.Sleep(9 * time.Second)
			mustGet(t, other, "new")
			require.Zero(t, other.Counters().StaleHits)
			time.Sleep(2 * time.Second)
			mustGet(t, other, "new")
			require.EqualValues(t, 1, other.Counters().StaleHits)
			down.end()
			synctest.Wait()
			require.NoError(t, l.Flush(t.Context()))
		})
	}
}

// GetMulti of a Strong loader leases at the home copies, as all it does, and returns no
// value that the home copy has not taken.
func TestStrongGetMulti(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := &spy{Multi: fakecache.Multi{Cache: fakecache.New(2)}}, newOrigin("a", "1", "b", "1", "k", "1")
		var l, writer *loader.Loader[string]
		writer = open(t, s, o, strong)
		once := sync.OnceFunc(func() { require.NoError(t, writer.Put(t.Context(), "a", "2")) })
		var q queries
		l = open(t, s, o, strong, func(c *loader.Config[string]) {
			load := q.loadMany(o.load)
			c.LoadMany = func(ctx context.Context, keys []string) (map[string]string, error) {
				defer once()
				return load(ctx, keys)
			}
		})
		mustGetMulti(t, l, map[string]string{"a": "2", "b": "1", "k": "1"}, "a", "b", "k")
		require.Len(t, q.asked, 1)
		mustGetMulti(t, l, map[string]string{"a": "2", "b": "1", "k": "1"}, "a", "b", "k")
		require.Zero(t, s.other)
		require.NotZero(t, s.homes)
		s.SetDown(0, true)
		s.SetDown(1, true)
		_, err := l.GetMulti(t.Context(), []string{"a", "b"})
		require.ErrorIs(t, err, loader.ErrCacheDown)
		_, err = l.Peek(t.Context(), "a")
		require.ErrorIs(t, err, loader.ErrNoReader, "this cache cannot read its home copy alone")
	})
}

// Refresh of a Strong loader loads again if the key was written meanwhile.
func TestStrongRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := &spy{Multi: fakecache.Multi{Cache: fakecache.New(2)}}, newOrigin("k", "1")
		l, writer := open(t, s, o, strong), open(t, s, o, strong)
		mustGet(t, writer, "1")
		once := sync.OnceFunc(func() { require.NoError(t, writer.Put(t.Context(), "k", "2")) })
		o.after = func(string) { once() }
		v, err := l.Refresh(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "2", v)
		require.EqualValues(t, 2, l.Counters().Loads)
		mustGet(t, writer, "2")
		require.Zero(t, s.other)
	})
}

// A Strong loader refuses to serve what is due or past its time, and to refresh early. A
// value of a loader that did is loaded anew when it is due.
func TestStrongAndFreshness(t *testing.T) {
	o := newOrigin("k", "1")
	for field, f := range map[string]loader.Freshness{
		"Freshness.Soft":    {Soft: time.Minute},
		"Freshness.IfError": {IfError: time.Minute},
		"Freshness.Beta":    {Beta: 1},
	} {
		_, err := loader.New(fakecache.New(1), loader.Config[string]{Load: o.load, Consistency: loader.Strong, Freshness: f})
		require.ErrorContains(t, err, "loader.Config."+field)
		require.ErrorContains(t, err, "Strong")
	}
	synctest.Test(t, func(t *testing.T) {
		f := fakecache.New(2)
		before := open(t, f, o, func(c *loader.Config[string]) { c.Freshness.Soft = time.Minute })
		l := open(t, f, o, strong, func(c *loader.Config[string]) { c.Freshness = loader.Freshness{Beta: -1, Jitter: 0.1} })
		mustGet(t, before, "1")
		o.set("k", "2")
		time.Sleep(59 * time.Second)
		mustGet(t, l, "1")
		time.Sleep(2 * time.Second)
		mustGet(t, l, "2")
		require.Zero(t, l.Counters().Refreshes)
		require.Zero(t, l.Counters().StaleHits)
	})
}

// GetMulti reads keys with a marker from the master and the others from the replica, in
// one query; Refresh goes to the master, too.
func TestLoadManyMarked(t *testing.T) {
	for _, policy := range []loader.WritePolicy{loader.WriteAround, loader.WriteBack} {
		synctest.Test(t, func(t *testing.T) {
			f, r := fakecache.New(2), newLagging(3*time.Second, "a", "1", "b", "1", "c", "1", "d", "1")
			var q queries
			cfg := loader.Config[string]{
				Load: r.load, LoadMany: q.loadMany(r.load), Store: r.store, Codec: loader.String{}, MaxLoads: 2,
				Region: loader.RegionConfig[string]{LoadMaster: r.loadMaster, MarkerTTL: 5 * time.Second},
				Back:   loader.BackConfig[string]{Journal: newMemJournal()},
			}
			l, err := loader.New(fakecache.Multi{Cache: f}, cfg)
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			for _, k := range []string{"a", "b"} {
				require.NoError(t, l.PutWith(t.Context(), k, "2", loader.WriteOptions{Policy: policy}))
			}
			require.NoError(t, l.Flush(t.Context()))
			for _, k := range []string{"a", "b"} {
				for i := range 2 {
					f.Evict(i, k)
				}
			}
			want := map[string]string{"a": "2", "b": "2", "c": "1", "d": "1"}
			mustGetMulti(t, l, want, "a", "b", "c", "d")
			require.Equal(t, [][]string{{"c", "d"}}, q.asked)
			require.Equal(t, 2, r.masters)
			mustGetMulti(t, l, want, "a", "b", "c", "d") // from the cache
			require.Equal(t, 2, r.masters)
			v, err := l.Refresh(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, "2", v)
			require.Equal(t, 3, r.masters)
		})
	}
}

// The audit is offered hits of GetMulti, but none that is due, which may be old.
func TestAuditOfFreshHitsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := fakecache.New(2), newOrigin("k", "old")
		l := open(t, f, o, func(c *loader.Config[string]) {
			c.Freshness = loader.Freshness{Soft: 10 * time.Second, Beta: -1}
			c.Audit = loader.AuditConfig[string]{Share: 1}
		})
		synctest.Wait()
		mustGet(t, l, "old")
		mustGetMulti(t, l, map[string]string{"k": "old"}, "k")
		synctest.Wait()
		require.Equal(t, loader.AuditCounters{Checked: 1}, l.Counters().Audit)
		time.Sleep(11 * time.Second)
		o.set("k", "new") // nobody tells the cache: that is what Soft is for
		mustGet(t, l, "old")
		synctest.Wait()
		require.Equal(t, loader.AuditCounters{Checked: 1}, l.Counters().Audit)
		mustGetMulti(t, l, map[string]string{"k": "new"}, "k")
		synctest.Wait()
		require.Equal(t, loader.AuditCounters{Checked: 2}, l.Counters().Audit)
		// One that gets due between the hit and the audit's second look is no finding either.
		time.Sleep(9500 * time.Millisecond)
		o.set("k", "newer")
		mustGet(t, l, "new")
		time.Sleep(2 * time.Second)
		require.Equal(t, loader.AuditCounters{Checked: 2, Moved: 1}, l.Counters().Audit)
	})
}
