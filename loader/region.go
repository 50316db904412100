package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/memherd/memherd/client/item"
)

// DefaultMarkerTTL is how long a marker stays.
const DefaultMarkerTTL = 10 * time.Second

// RegionConfig is for a loader far from the origin's master, whose Config.Load reads a
// replica that lags behind what Config.Store writes. Without it the first reader after a
// write would fill the cache with what the replica has, the old value, until its TTL.
//
// With it a write first sets a marker beside the key, then writes the master, then sees to
// the cache; a load that finds the marker reads the master (the remote marker of Nishtala
// et al., "Scaling Memcache at Facebook", NSDI 2013, section 4.2).
//
// What it promises: a Get in this region that starts after a Put or Delete of this region
// returned returns nothing older, as long as the replica does not lag by more than
// MarkerTTL and the marker is in the cache. What it does not: a marker can be evicted, lost
// with its node, or be deleted for a moment by another write of the same key that
// sets it anew; and writes of other regions are seen when the replica has them and
// their Invalidate has come. Then the replica's value is cached, old, until its TTL or the
// next Invalidate, which a consumer of the replica's change log should call anyway.
//
// It costs a write two round trips more, four if it takes longer than a second, and a load one, or two with several copies; of a
// LoadMany the keys with a marker are loaded one by one, which counts as a part of it. Keys that begin with "marker:" are refused.
type RegionConfig[V any] struct {
	// LoadMaster is Config.Load from the master. Nil: there are no markers.
	LoadMaster func(ctx context.Context, key string) (V, error)
	// MarkerTTL is how long loads of a key go to the master after a write: longer than the
	// replica ever lags. A node counts whole seconds. 0 means 10 s.
	MarkerTTL time.Duration
}

// ErrNoMarker: the marker could not be set, so the origin has not been written. It wraps
// the cause.
var ErrNoMarker = errors.New("memherd: no marker could be set in the cache, the origin was not written")

const (
	markerPrefix = "marker:" // between Config.Prefix and the key
	// markerTries is how often a write tries: readers and writers of one key's marker
	// that come in between make it miss.
	markerTries = 20
	// quickWrite is how long a write may take before its marker is set once more behind it.
	quickWrite = time.Second
)

func (c RegionConfig[V]) withDefaults() (RegionConfig[V], error) {
	switch {
	case c.MarkerTTL < 0:
		return c, fmt.Errorf("memherd: loader.Config.Region.MarkerTTL is negative (%v): use 0 for the default", c.MarkerTTL)
	case c.MarkerTTL > 0 && c.LoadMaster == nil:
		return c, errors.New("memherd: loader.Config.Region.LoadMaster is nil: MarkerTTL is of no use without it")
	case c.MarkerTTL == 0:
		c.MarkerTTL = DefaultMarkerTTL
	}
	c.MarkerTTL = min(c.MarkerTTL, mostTimeout) // sums of it must not overflow
	return c, nil
}

// startRegion puts markers around the origin.
func (l *Loader[V]) startRegion() {
	region := l.cfg.Region
	if region.LoadMaster == nil {
		return
	}
	check := l.checkKey
	l.checkKey = func(full string) error { // the marker's key must be one, too
		if err := check(full); err != nil {
			return err
		}
		key := full[len(l.cfg.Prefix):]
		if strings.HasPrefix(key, markerPrefix) {
			return fmt.Errorf("%w: it begins with %q, as markers do", item.ErrMalformedKey, markerPrefix)
		}
		return check(l.markerOf(key))
	}
	master := func(ctx context.Context, key string) (V, error) {
		l.count.masterLoads.Add(1)
		return region.LoadMaster(ctx, key)
	}
	load := l.cfg.Load
	l.cfg.Load = func(ctx context.Context, key string) (V, error) {
		if l.marked(ctx, key) {
			return master(ctx, key)
		}
		return load(ctx, key)
	}
	l.cfg.LoadMany = l.loadManyMarked(load, master, l.cfg.LoadMany)
	if store := l.cfg.Store; store != nil {
		l.cfg.Store = func(ctx context.Context, key string, v V) error {
			return l.between(ctx, []string{key}, func() error { return store(ctx, key, v) })
		}
	}
	if remove := l.cfg.Remove; remove != nil {
		l.cfg.Remove = func(ctx context.Context, key string) error {
			return l.between(ctx, []string{key}, func() error { return remove(ctx, key) })
		}
	}
	if many := l.cfg.Back.StoreMany; many != nil {
		l.cfg.Back.StoreMany = func(ctx context.Context, writes []Write[V]) error {
			keys := make([]string, len(writes))
			for i, w := range writes {
				keys[i] = w.Key
			}
			return l.between(ctx, keys, func() error { return many(ctx, writes) })
		}
	}
}

// between sets the markers of keys, calls write, and sets them again if that took so long that they may end too soon. Whether it failed
// does not matter: the master may have it.
func (l *Loader[V]) between(ctx context.Context, keys []string, write func() error) (err error) {
	ttl := l.cfg.Region.MarkerTTL
	if err := l.markAll(ctx, keys, ttl+quickWrite); err != nil {
		return fmt.Errorf("%w: %w", ErrNoMarker, err)
	}
	began := time.Now()
	defer func() { // even if it panics or exits
		if time.Since(began) <= quickWrite {
			return
		}
		sctx, cancel := settle(ctx)
		defer cancel()
		if merr := l.markAll(sctx, keys, ttl); merr != nil {
			err = errors.Join(err, fmt.Errorf("memherd: the marker could not be set again behind a slow write: %w", merr))
		}
	}()
	return write()
}

func (l *Loader[V]) markAll(ctx context.Context, keys []string, ttl time.Duration) error {
	errs := make([]error, len(keys))
	each(len(keys), func(i int) { errs[i] = l.mark(ctx, keys[i], ttl) })
	return errors.Join(errs...)
}

func (l *Loader[V]) markerOf(key string) string { return l.cfg.Prefix + markerPrefix + key }

// mark sets the key's marker on every copy. A fill under tokens that somebody else has
// voided deletes the marker, so it is tried again until one has stood.
func (l *Loader[V]) mark(ctx context.Context, key string, ttl time.Duration) error {
	marker := l.markerOf(key)
	b := newEnvelope(kindAbsent, time.Now(), life{}, 0)
	sealEnvelope(b, marker)
	var err error
	for range markerTries {
		var lease item.Lease
		if lease, err = l.cache.LeaseWrite(ctx, marker); err == nil {
			_, err = l.cache.Fill(ctx, lease, item.Item{Key: marker, Value: b, TTL: ttl})
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, item.ErrLeaseLost) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// marked reports whether a load of key must read the master. What it does not know it
// does not rule out. A stub is no marker: its writer has yet to write the master.
func (l *Loader[V]) marked(ctx context.Context, key string) bool {
	lease, err := l.cache.Lease(ctx, l.markerOf(key), item.LeaseOptions{NoNear: true})
	if err != nil {
		return true
	}
	switch lease.State {
	case item.LeaseWon:
		l.release(ctx, lease)
		return false
	case item.LeaseWait:
		return false
	}
	return true // it is there, or no copy could say
}
