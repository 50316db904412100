package gomc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// Placement is what Dual asks of a placement that is to go: *memcache.Client has it, with whatever
// servers or selector, and so has Client. A proxy such as mcrouter is a server to memcache.New.
type Placement interface {
	Get(key string) (*memcache.Item, error)
	GetMulti(keys []string) (map[string]*memcache.Item, error)
	Set(item *memcache.Item) error
	Add(item *memcache.Item) error
	Delete(key string) error
	Ping() error
	Close() error
}

// Stage says which of two placements a Dual reads. All processes of a fleet go from one stage to the
// next, and none goes on before the last has come: two stages side by side are safe if they are neighbours.
type Stage int32

const (
	// OldFirst reads and writes the old placement, and deletes from the new one what is
	// written, so that whoever is a stage ahead finds nothing that has passed there.
	OldFirst Stage = iota
	// NewFirst reads the new placement, and what that misses from the old one, from where it
	// is copied; it writes to the new one, and deletes from the old one.
	NewFirst
	// NewOnly reads and writes the new placement alone. It deletes from the old one what is written,
	// for those who are a stage behind, and does not mind if that one is gone already.
	NewOnly
)

// DefaultCopyTTL is DualConfig.CopyTTL if that is 0.
const DefaultCopyTTL = 10 * time.Minute

// DualConfig is the set-up of a Dual. Old and New are required.
type DualConfig struct {
	// Old is the placement in use until now, New the one to be. They may be of the same nodes.
	Old Placement
	New *Client
	// Stage is where to begin; 0 is OldFirst. See Dual.SetStage.
	Stage Stage
	// CopyTTL is how long a value lives that was copied from Old, where its own end can't be seen; 0 means
	// 10 min, and 2 s is the least. What was to end sooner lives that much longer.
	CopyTTL time.Duration
}

// Dual reads the placement that a fleet had while the new one warms, so that changing clients
// does not empty the cache. It has what a cache is read and written with, and neither
// counters nor conditional writes: those can't be right in two places at once.
// All methods may be called concurrently. Make one with NewDual.
//
// Between neighbouring stages no Get that begins after a Set or Delete has returned gives what was there
// before, from whichever process, while all nodes are up: copies are made under a
// lease, which every write to the new placement voids. What a node of the old placement did
// not hear because it was down, nobody owes it; that is as it was before. And a Set at OldFirst of a key that the new
// placement has, because somebody is ahead or a node is the key's in both, makes sure of it in the old one when it has deleted it: a Delete that
// another makes in between is taken to come first.
type Dual struct {
	old     Placement
	new     *Client
	copyTTL time.Duration
	stage   atomic.Int32
	copied  atomic.Uint64
}

// NewDual checks cfg; it does no I/O.
func NewDual(cfg DualConfig) (*Dual, error) {
	switch {
	case cfg.Old == nil:
		return nil, errors.New("gomc: DualConfig.Old is missing")
	case reflect.ValueOf(cfg.Old).Kind() == reflect.Pointer && reflect.ValueOf(cfg.Old).IsNil():
		return nil, errors.New("gomc: DualConfig.Old is a nil pointer: look at the error of what should have made it")
	case cfg.New == nil:
		return nil, errors.New("gomc: DualConfig.New is missing")
	case cfg.CopyTTL != 0 && cfg.CopyTTL < 2*time.Second:
		return nil, fmt.Errorf("gomc: DualConfig.CopyTTL is %v; 0 chooses the default, and 2s is the least", cfg.CopyTTL)
	}
	if cfg.CopyTTL == 0 {
		cfg.CopyTTL = DefaultCopyTTL
	}
	d := &Dual{old: cfg.Old, new: cfg.New, copyTTL: cfg.CopyTTL}
	return d, d.SetStage(cfg.Stage)
}

// SetStage goes to another stage; calls under way finish in theirs.
func (d *Dual) SetStage(s Stage) error {
	if s < OldFirst || s > NewOnly {
		return fmt.Errorf("gomc: stage %d: use OldFirst, NewFirst or NewOnly", s)
	}
	d.stage.Store(int32(s))
	return nil
}

// String is the constant's name.
func (s Stage) String() string {
	switch s {
	case OldFirst:
		return "OldFirst"
	case NewFirst:
		return "NewFirst"
	case NewOnly:
		return "NewOnly"
	}
	return fmt.Sprintf("Stage(%d)", int32(s))
}

// Stage returns the stage that calls begin in.
func (d *Dual) Stage() Stage { return Stage(d.stage.Load()) }

// Copied is how many values were copied to the new placement: when it hardly grows any more, that is
// warm.
func (d *Dual) Copied() uint64 { return d.copied.Load() }

// Get returns the item at key, memcache.ErrCacheMiss if neither placement has it. Item.CasID is 0.
func (d *Dual) Get(key string) (*memcache.Item, error) {
	ctx := context.Background()
	switch d.Stage() {
	case OldFirst:
		return d.fromOld(key)
	case NewOnly:
		return d.fromNew(d.new.c.Get(ctx, key))
	}
	l, err := d.new.c.Lease(ctx, key, client.LeaseOptions{})
	switch {
	case outcome(err):
		return nil, translate(err)
	case err != nil || l.State == item.LeaseWait || l.State == item.LeaseNone:
		return d.fromOld(key) // someone else copies it, or nobody can
	case l.State == item.LeaseHit:
		return d.fromNew(l.Item, nil)
	}
	it, err := d.fromOld(key)
	if err != nil {
		return nil, d.give(ctx, l, err)
	}
	d.copy(ctx, l, it)
	return it, nil
}

// GetMulti returns the items of keys that either placement has.
func (d *Dual) GetMulti(keys []string) (map[string]*memcache.Item, error) {
	switch d.Stage() {
	case OldFirst:
		items, err := d.old.GetMulti(keys)
		for key, it := range items {
			if !d.readable(it) {
				delete(items, key)
			}
		}
		return items, err
	case NewOnly:
		items, err := d.new.c.GetMulti(context.Background(), keys)
		if items == nil {
			return nil, translate(err)
		}
		out := make(map[string]*memcache.Item, len(items))
		for key, it := range items {
			out[key], _ = d.fromNew(it, nil)
		}
		return out, translate(err)
	}
	return d.getBoth(context.Background(), distinct(keys))
}

// getBoth is GetMulti in NewFirst.
func (d *Dual) getBoth(ctx context.Context, keys []string) (map[string]*memcache.Item, error) {
	leases, errs := d.new.c.LeaseMulti(ctx, keys, client.LeaseOptions{})
	out := make(map[string]*memcache.Item, len(keys))
	var rest []string
	for i, key := range keys {
		switch {
		case outcome(errs[i]):
			for j := range leases {
				d.give(ctx, leases[j], nil)
			}
			return nil, translate(errs[i])
		case errs[i] == nil && leases[i].State == item.LeaseHit:
			out[key], _ = d.fromNew(leases[i].Item, nil)
		default:
			rest = append(rest, key)
		}
	}
	if len(rest) == 0 {
		return out, nil
	}
	found, err := d.old.GetMulti(rest)
	for i, key := range keys {
		it := found[key]
		if it != nil && d.readable(it) {
			out[key] = it
		}
		if errs[i] != nil || leases[i].State != item.LeaseWon {
			continue
		}
		if out[key] == nil {
			d.give(ctx, leases[i], nil)
			continue
		}
		d.copy(ctx, leases[i], it)
	}
	return out, err
}

// Set stores the item where the stage reads, and deletes it where its neighbour does.
func (d *Dual) Set(it *memcache.Item) error {
	switch d.Stage() {
	case OldFirst:
		old := d.forOld(it)
		if err := d.old.Set(old); err != nil {
			return both(err, d.deleteNew(it.Key))
		}
		if err := d.new.Delete(it.Key); err != nil {
			return found(err) // most often there was nothing, and what has just been set is where it was
		}
		// Where a node is the key's in both placements, that was the value just set. Whoever has
		// set it meanwhile keeps his way.
		if err := d.old.Add(old); err != nil && err != memcache.ErrNotStored {
			return err
		}
		return nil
	case NewFirst:
		// The old one first: who finds it there after that holds a lease that the second step voids.
		if err := d.deleteOld(it.Key); err != nil {
			return err
		}
	case NewOnly:
		d.deleteOld(it.Key) // or who is a stage behind finds there what was before, once the new one has lost this
	}
	return d.new.Set(it)
}

// Delete removes key from both placements, memcache.ErrCacheMiss if neither had it.
func (d *Dual) Delete(key string) error {
	s := d.Stage()
	old := d.old.Delete(key)
	if old != nil && old != memcache.ErrCacheMiss {
		if s != NewOnly {
			return both(old, d.deleteNew(key))
		}
		old = memcache.ErrCacheMiss // it may be gone
	}
	err := d.new.Delete(key)
	if err == memcache.ErrCacheMiss {
		return old
	}
	return err
}

// Ping asks every node that the stage needs.
func (d *Dual) Ping() error {
	var old error
	if d.Stage() != NewOnly {
		old = d.old.Ping()
	}
	return errors.Join(old, d.new.Ping())
}

// Close closes both clients.
func (d *Dual) Close() error { return errors.Join(d.old.Close(), d.new.Close()) }
