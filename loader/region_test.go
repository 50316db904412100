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

// lagging is a master and a replica that has its writes a while later.
type lagging struct {
	*origin // the master
	lag     time.Duration
	mu      sync.Mutex // guards replica
	replica map[string]string
	masters int
}

func newLagging(lag time.Duration, kv ...string) *lagging {
	r := &lagging{origin: newOrigin(kv...), lag: lag, replica: map[string]string{}}
	for k, v := range r.rows {
		r.replica[k] = v
	}
	return r
}

func (r *lagging) store(ctx context.Context, key, v string) error {
	if err := r.origin.store(ctx, key, v); err != nil {
		return err
	}
	time.AfterFunc(r.lag, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.replica[key] = v
	})
	return nil
}

func (r *lagging) load(_ context.Context, key string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replica[key], nil
}

func (r *lagging) loadMaster(ctx context.Context, key string) (string, error) {
	r.mu.Lock()
	r.masters++
	r.mu.Unlock()
	return r.origin.load(ctx, key)
}

func (r *lagging) open(t *testing.T, c loader.Cache, markers bool, p loader.WritePolicy) *loader.Loader[string] {
	cfg := loader.Config[string]{Load: r.load, Store: r.store, Codec: loader.String{}, Prefix: "p:", Write: p, Back: loader.BackConfig[string]{Journal: newMemJournal()}}
	if markers {
		cfg.Region = loader.RegionConfig[string]{LoadMaster: r.loadMaster, MarkerTTL: 5 * time.Second}
	}
	l, err := loader.New(c, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// A reader of another process that comes right behind a write does not fill the cache with
// the replica's old value, and reads go to the replica again when it has caught up. Without
// the marker the old value is cached.
func TestRegionMarker(t *testing.T) {
	for _, markers := range []bool{true, false} {
		allPolicies(t, func(t *testing.T, p loader.WritePolicy) {
			synctest.Test(t, func(t *testing.T) {
				c, r := fakecache.New(2), newLagging(3*time.Second, "k", "old")
				a, b := r.open(t, c, markers, p), r.open(t, c, markers, p)
				mustGet(t, b, "old")
				require.Zero(t, r.masters, "nothing was written yet")
				require.NoError(t, a.Put(t.Context(), "k", "new"))
				require.NoError(t, a.Flush(t.Context()))
				evict := func() {
					for i := range 2 {
						c.Evict(i, "p:k")
					}
				}
				evict()
				if !markers {
					mustGet(t, b, "old")
					time.Sleep(time.Minute)
					mustGet(t, b, "old")
					return
				}
				mustGet(t, b, "new")
				require.Equal(t, 1, r.masters)
				time.Sleep(6 * time.Second)
				evict()
				mustGet(t, b, "new")
				require.Equal(t, 1, r.masters, "from the replica")
			})
		})
	}
}

// Readers and writers of one key at once do not keep each other from setting the marker.
func TestRegionUnderFire(t *testing.T) {
	c, r := fakecache.New(2), newLagging(time.Hour, "k", "0")
	a, b := r.open(t, c, true, loader.WriteAround), r.open(t, c, true, loader.WriteThrough)
	var wg sync.WaitGroup
	for i, l := range []*loader.Loader[string]{a, b} {
		wg.Go(func() {
			for n := range scaled(300) {
				if err := l.Put(t.Context(), "k", fmt.Sprint(i, n)); err != nil && !errors.Is(err, loader.ErrNoMarker) {
					panic(err)
				}
			}
		})
		wg.Go(func() {
			for range scaled(600) {
				if _, err := l.Get(t.Context(), "k"); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, a.Put(t.Context(), "k", "last"))
	mustGet(t, b, "last")
}

// Without its marker a write does not reach the master, and says so.
func TestRegionNoMarker(t *testing.T) {
	c, r := fakecache.New(2), newLagging(time.Second, "k", "old")
	l := r.open(t, c, true, loader.WriteAround)
	down := errors.New("cache is down")
	c.Fail = func(method string) error {
		if method == "LeaseWrite" {
			return down
		}
		return nil
	}
	err := l.Put(t.Context(), "k", "new")
	require.ErrorIs(t, err, loader.ErrNoMarker)
	require.ErrorIs(t, err, down)
	require.Equal(t, "old", r.rows["k"])
	// A load that cannot ask for the marker reads the master.
	c.Fail = func(string) error { return down }
	mustGet(t, l, "old")
	require.Equal(t, 1, r.masters)
}

// Loads from the master are counted, alone and as parts of a LoadMany, and what is not marked goes to the replica.
func TestRegionCountsMasterLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := fakecache.New(2), newLagging(time.Hour, "a", "1", "b", "1", "c", "1", "d", "1")
		l, err := loader.New(c, loader.Config[string]{
			Load: r.load, Store: r.store, Codec: loader.String{}, Prefix: "p:",
			LoadMany: func(ctx context.Context, keys []string) (map[string]string, error) {
				vals := map[string]string{}
				for _, k := range keys {
					vals[k], _ = r.load(ctx, k)
				}
				return vals, nil
			},
			Region: loader.RegionConfig[string]{LoadMaster: r.loadMaster},
		})
		require.NoError(t, err)
		for _, k := range []string{"a", "b"} {
			require.NoError(t, l.Put(t.Context(), k, "2"))
		}
		found, err := l.GetMulti(t.Context(), []string{"a", "b", "c", "d"})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a": "2", "b": "2", "c": "1", "d": "1"}, found)
		n := l.Counters()
		require.EqualValues(t, 2, n.MasterLoads)
		require.EqualValues(t, 1, n.ManyLoads)
		require.Zero(t, n.Loads)
		require.NoError(t, l.Invalidate(t.Context(), "a"))
		v, err := l.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "2", v)
		n = l.Counters()
		require.EqualValues(t, 3, n.MasterLoads)
		require.EqualValues(t, 1, n.Loads)
		require.NoError(t, l.Close())
	})
}

func TestRegionConfig(t *testing.T) {
	c, r := fakecache.New(1), newLagging(0)
	for _, bad := range []loader.RegionConfig[string]{{MarkerTTL: -1, LoadMaster: r.loadMaster}, {MarkerTTL: 1}} {
		_, err := loader.New(c, loader.Config[string]{Load: r.load, Region: bad})
		require.ErrorContains(t, err, "loader.Config.Region.")
	}
	l := r.open(t, c, true, loader.WriteAround)
	require.NoError(t, l.Put(t.Context(), strings.Repeat("k", 241), "v"))
	require.ErrorIs(t, l.Put(t.Context(), strings.Repeat("k", 242), "v"), item.ErrMalformedKey, "the marker has a key, too")
	require.ErrorIs(t, l.Put(t.Context(), "marker:k", "v"), item.ErrMalformedKey)
}

// The marker lasts for MarkerTTL after the write, however long the write took.
func TestRegionMarkerOfASlowWrite(t *testing.T) {
	allPolicies(t, func(t *testing.T, p loader.WritePolicy) {
		synctest.Test(t, func(t *testing.T) {
			c, r := fakecache.New(2), newLagging(3*time.Second, "k", "old", "other", "old")
			r.onStore = func(string, string) error { time.Sleep(9 * time.Second); return nil }
			a, b := r.open(t, c, true, p), r.open(t, c, true, p)
			mustGet(t, b, "old")
			require.NoError(t, a.Put(t.Context(), "k", "new"))
			require.NoError(t, a.Flush(t.Context()))
			for i := range 2 {
				c.Evict(i, "p:k")
			}
			mustGet(t, b, "new")
			require.Equal(t, 1, r.masters)
			time.Sleep(6 * time.Second)
			for i := range 2 {
				c.Evict(i, "p:k")
			}
			mustGet(t, b, "new")
			require.Equal(t, 1, r.masters, "from the replica")
		})
	})
}
