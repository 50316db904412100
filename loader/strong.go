package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/memherd/memherd/client/item"
)

// Consistency says what a loader's reads and writes promise together.
type Consistency uint8

const (
	// Bounded is what the package comment says: a read returns nothing older than what
	// was confirmed before it began, but for the near-cache's bound.
	Bounded Consistency = iota
	// Strong makes the operations of one key linearizable, over all processes, while all
	// its copies are up and every loader of the prefix is Strong: each takes effect at
	// one moment between its call and its return, so that no read returns less than
	// any read that ended before it began. For that
	//
	//   - Put is WriteThrough, and fails with ErrNotConfirmed unless every copy has
	//     taken the value or has lost the key; so does Delete;
	//   - reads pass by the near-cache and ask the home copy and no other;
	//   - a value that was loaded and not taken by the home copy, because the key was written
	//     meanwhile, is loaded again: it may be ahead of what others still read there. A Get
	//     among many writes may load several times, until its context ends;
	//   - no value is served past its time, nor refreshed before: of Config.Freshness only
	//     Jitter may be set;
	//   - a Get fails with ErrCacheDown when the cache does, as with FailClosed: the
	//     origin is ahead of the cache while a Put is under way.
	//
	// A Put or Delete that failed may have taken effect, or may take it until the TTL of
	// what is cached has passed; call it again. While a copy is down reads go on,
	// from the next copy, as with Bounded, and writes fail. Values that the nodes evict are
	// loaded again. The origin itself must be linearizable, and written by nobody else.
	Strong
)

func (c Consistency) String() string {
	switch c {
	case Bounded:
		return "bounded"
	case Strong:
		return "strong"
	}
	return fmt.Sprintf("Consistency(%d)", uint8(c))
}

// ErrNotConfirmed: Config.Consistency is Strong, and a copy that could not be reached may
// still have the old value. It is owed a delete. The origin has been written.
var ErrNotConfirmed = errors.New("memherd: the origin was written, but not every copy has confirmed it")

// strengthen sets what Strong needs, or says what contradicts it.
func (cfg Config[V]) strengthen() (Config[V], error) {
	switch {
	case cfg.Consistency > Strong:
		return cfg, fmt.Errorf("memherd: loader.Config.Consistency is %v: use Bounded or Strong", cfg.Consistency)
	case cfg.Consistency == Bounded:
		return cfg, nil
	case cfg.Write == WriteBack || cfg.Back.Journal != nil:
		return cfg, errors.New("memherd: loader.Config.Consistency is Strong, and WriteBack is not: leave Config.Back empty")
	case cfg.NegativeTTL < 0:
		return cfg, errors.New("memherd: loader.Config.NegativeTTL is negative, and Consistency Strong: an absence must be cached to be sure")
	case cfg.Freshness.Soft != 0:
		return cfg, fmt.Errorf("memherd: loader.Config.Freshness.Soft is %v, and Consistency is Strong: such a loader serves no value that is due, leave it 0", cfg.Freshness.Soft)
	case cfg.Freshness.IfError != 0:
		return cfg, fmt.Errorf("memherd: loader.Config.Freshness.IfError is %v, and Consistency is Strong: such a loader serves no value past its time, leave it 0", cfg.Freshness.IfError)
	case cfg.Freshness.Beta > 0:
		return cfg, fmt.Errorf("memherd: loader.Config.Freshness.Beta is %v, and Consistency is Strong: such a loader does not refresh early, leave it 0", cfg.Freshness.Beta)
	case cfg.Region.LoadMaster != nil:
		return cfg, errors.New("memherd: loader.Config.Consistency is Strong, and a lagging replica is not: leave Config.Region empty")
	}
	cfg.Write, cfg.FailClosed = WriteThrough, true
	if cfg.Freshness.Beta == 0 {
		cfg.Freshness.Beta = -1
	}
	return cfg, nil
}

// unproven is what becomes of a loaded value that the home copy has not taken. A Bounded
// loader gives it to those who came before the load. For a Strong one:
//
//  1. a reader wins the key and loads; another process puts 1, so that the home copy has 1;
//  2. that process puts 2: the origin has it, the copies do not yet;
//  3. the reader's load reads 2. Were that returned, the next reader would find 1.
//
// So it is too old, or too new, for all, who go on to the next flight.
func (l *Loader[V]) unproven(f *flight[V], res result[V]) result[V] {
	switch {
	case l.cfg.Consistency != Strong:
	case f.unfilled != nil:
		return result[V]{err: fmt.Errorf("%w: %w", ErrCacheDown, f.unfilled), asOf: everyone}
	default:
		res.asOf = 0
	}
	return res
}

// homeOnly is a cache that is read at the home copy alone.
type homeOnly struct{ Cache }

func (c homeOnly) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	o.Home = true
	return c.Cache.Lease(ctx, key, o)
}

// LeaseMulti leases one by one what the cache does not lease together.
func (c homeOnly) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	o.Home = true
	return leaseEach(ctx, c.Cache, keys, o)
}

// Get reads the home copy, if the cache can do that without a lease, as *client.Client can.
func (c homeOnly) Get(ctx context.Context, key string) (item.Item, error) {
	if h, ok := c.Cache.(interface {
		Gets(ctx context.Context, key string) (item.Item, error)
	}); ok {
		return h.Gets(ctx, key)
	}
	return item.Item{}, ErrNoReader
}

// homeOnlyBatch is one that deletes many keys at once, too.
type homeOnlyBatch struct {
	homeOnly
	BatchDeleter
}

func readHomeOnly(c Cache) Cache {
	if b, ok := c.(BatchDeleter); ok {
		return homeOnlyBatch{homeOnly{c}, b}
	}
	return homeOnly{c}
}

// confirmed is nil if o will do for a write that every copy has answered or is owed.
func (l *Loader[V]) confirmed(o item.Outcome) error {
	if l.cfg.Consistency == Strong && o.Owed > 0 {
		return fmt.Errorf("%w: %d of %d have not", ErrNotConfirmed, o.Owed, o.Copies)
	}
	return nil
}
