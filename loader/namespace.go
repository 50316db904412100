package loader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/item"
)

// DefaultNamespaceAge is how long a Namespace believes in its generation.
const DefaultNamespaceAge = time.Second

// NamespaceConfig names a namespace.
type NamespaceConfig struct {
	// Name tells this namespace from others under the same Config.Prefix: a tenant, a
	// catalogue. No loader without a namespace may have that Prefix. It stands in the cache as it is, so it must be a plain key, of 1 to 100
	// bytes; prefix, name, key and 18 bytes must fit into a key together. Required.
	Name string
	// MaxAge is how long this process may go on with the generation it knows, and so how
	// long it may go on reading values that another process has invalidated. 0 means 1 s;
	// any negative duration means that each call asks the cache.
	MaxAge time.Duration
}

// Namespace is a loader whose values can all be invalidated at once, however many there
// are, by changing one number that is a part of all their keys: the generation. The old
// ones are not read again and make room as the nodes need it. It is safe for concurrent
// use. Make it with NewNamespace.
//
// What it promises: a Get that starts after InvalidateAll has returned returns nothing
// that the origin had replaced before, at once in the process that called it, MaxAge
// later in others. (What Loader says of copies that cannot be reached holds for the
// generation, too.) A load that was under way fills under the old generation, where nobody
// looks. If the nodes evict the generation, everything in the namespace is loaded anew.
// Get, Put, Delete and Invalidate promise what they promise on a Loader, but that within
// MaxAge of an InvalidateAll, or of a failure of the cache, other processes may still read
// what the old generation has.
//
// What it does not: it frees no memory at once, it does not bring values of an
// old generation back, and it costs each process one read of the cache every MaxAge, or as many as there are readers at
// the moment at which it is due. It sets no markers, and so refuses Config.Region. While the cache fails each process
// draws a new generation every MaxAge: a key that takes longer than that to load may be loaded more than once, within
// Config.MaxLoads and Origin.Rate, which hold for all generations together.
//
// Writes are made by WriteAround. A write does not trust a generation that it only
// remembers, since its delete would miss the key that others read: it asks the cache,
// after the origin has the write.
type Namespace[V any] struct {
	cache  Cache
	cfg    Config[V]
	name   string
	maxAge time.Duration
	gens   *Loader[uint64] // its values are drawn by whoever misses them
	doors  *doors          // the same for all generations

	mu       sync.Mutex // guards what follows; before the locks of Loader
	refusing bool       // Close has begun
	ended    bool       // no loader may be made any more
	writes   sync.WaitGroup
	known    atomic.Pointer[generation[V]] // written under mu
	old      sync.WaitGroup                // loaders of old generations that end
}

type generation[V any] struct {
	number uint64    // with openly, if the cache has not been told of it
	asked  time.Time // before the cache was asked for it
	l      *Loader[V]
}

// fromNodes is a cache whose reads pass by the near-cache: the bound of that would be
// added to the namespace's own, and a write must not be bounded but right.
type fromNodes struct {
	Cache
	owed atomic.Pointer[time.Time] // when copies were last made to be owed a delete
}

// owedFor is for how long a delete that copies are owed stands for another one: processes that miss a generation together
// would take the right to draw it from each other.
const owedFor = time.Second

// Lease gives the right to draw a generation when no copy will come back with the one before, and with the values that were
// written since. One that is away may have it still, though the others have evicted it, as they do with what is read from the owner alone; a fill
// creates no debt (consistency rule 3), and so the delete before it has to.
func (c *fromNodes) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	o.NoNear = true
	for {
		l, err := c.Cache.Lease(ctx, key, o)
		whole := len(l.Tokens) >= l.Copies && l.Gutter == ""
		if err != nil || l.State != item.LeaseWon || whole {
			return l, err
		}
		if at := c.owed.Load(); at != nil && time.Since(*at) < owedFor {
			return l, nil
		}
		// It ends the lease, too. What it can neither tell nor owe is as it was.
		_, _ = c.Cache.Delete(ctx, key)
		now := time.Now()
		c.owed.Store(&now)
	}
}

// Fill leaves no copy that gave a token with the generation before: if not all have taken the new one, none keeps it.
func (c *fromNodes) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	o, err := c.Cache.Fill(ctx, l, it)
	if err == nil && o.Confirmed < len(l.Tokens) {
		_, _ = c.Cache.Delete(ctx, l.Key)
		err = item.ErrLeaseLost
	}
	return o, err
}

// NewNamespace returns a namespace over c, whose values are loaded as cfg says. It does no
// I/O. cfg.Write must be WriteAround.
func NewNamespace[V any](c Cache, cfg Config[V], ns NamespaceConfig) (*Namespace[V], error) {
	switch {
	case isNil(c):
		return nil, errors.New("memherd: loader.NewNamespace needs a cache: give it a *client.Client")
	case cfg.Write != WriteAround || cfg.Back.Journal != nil:
		return nil, errors.New("memherd: loader.Config.Write: a Namespace writes by WriteAround alone")
	case cfg.Consistency != Bounded:
		return nil, errors.New("memherd: loader.Config.Consistency: a Namespace is Bounded, for the generation is read every MaxAge")
	case cfg.Region.LoadMaster != nil:
		return nil, errors.New("memherd: loader.Config.Region.LoadMaster: a Namespace sets no markers, leave Config.Region empty")
	case ns.Name == "" || len(ns.Name) > 100 || item.CheckKey(ns.Name) != nil:
		return nil, errors.New("memherd: loader.NamespaceConfig.Name must be a plain key of 1 to 100 bytes")
	case len(cfg.Prefix)+len(ns.Name)+18 > MaxPrefix:
		return nil, fmt.Errorf("memherd: loader.Config.Prefix and NamespaceConfig.Name have %d bytes together: at most %d", len(cfg.Prefix)+len(ns.Name), MaxPrefix-18)
	}
	if ns.MaxAge == 0 {
		ns.MaxAge = DefaultNamespaceAge
	}
	n := &Namespace[V]{cache: c, cfg: cfg, name: ns.Name, maxAge: ns.MaxAge}
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n.doors = newDoors(full.Origin, full.MaxLoads, full.Hooks.Limit)
	n.gens, err = New(&fromNodes{Cache: c}, Config[uint64]{
		Prefix: cfg.Prefix + "gen:", TTL: 30 * 24 * time.Hour, FailClosed: cfg.FailClosed,
		// A refresh would draw another number, and so end the generation.
		Freshness: Freshness{Beta: -1},
		// Drawn, not counted: a number that was evicted must not come again.
		Load: func(ctx context.Context, _ string) (uint64, error) {
			number := rand.Uint64() >> 1
			if n.gens.isBare(ctx) {
				number |= openly
			}
			return number, nil
		},
	})
	return n, err
}

// openly marks a number that was drawn without the cache, which may have the generation before it, and come back with that.
const openly = 1 << 63

// at returns a generation that was current at some moment after since.
func (n *Namespace[V]) at(ctx context.Context, since time.Time) (*generation[V], error) {
	if g := n.known.Load(); g != nil && g.asked.After(since) {
		return g, nil
	}
	asked := time.Now()
	number, err := n.gens.Get(ctx, n.name)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.known.Load()
	switch {
	case n.ended:
		return nil, ErrClosed
	case g != nil && g.number == number:
		if asked.After(g.asked) {
			g = &generation[V]{number, asked, g.l}
			n.known.Store(g)
		}
		return g, nil
	case g != nil && g.asked.After(asked):
		// Somebody asked after us and was told another: ours is gone, and so is what
		// stands under it.
		return g, nil
	}
	cfg := n.cfg
	cfg.Prefix += n.name + ":" + strconv.FormatUint(number|1<<63, 16) + ":" // 16 digits
	l, err := New(n.cache, cfg)
	if err != nil {
		return nil, err
	}
	l.doors = n.doors
	made := &generation[V]{number, asked, l}
	n.known.Store(made)
	if g != nil {
		n.old.Go(func() { _ = g.l.Close() }) // its loads end; without a journal there is no error
	}
	return made, nil
}

// recent returns the loader for a read.
func (n *Namespace[V]) recent(ctx context.Context) (*Loader[V], error) {
	g, err := n.at(ctx, time.Now().Add(-max(n.maxAge, 0)))
	if err != nil {
		return nil, err
	}
	return g.l, nil
}

func (n *Namespace[V]) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refusing
}

// begin registers what Close must wait for; writes.Done ends it.
func (n *Namespace[V]) begin() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refusing {
		return ErrClosed
	}
	n.writes.Add(1)
	return nil
}

// Put is Loader.Put by WriteAround in this namespace.
func (n *Namespace[V]) Put(ctx context.Context, key string, v V) error {
	if n.cfg.Store == nil {
		return ErrNoStore
	}
	return n.write(ctx, key, func() error { return n.cfg.Store(ctx, key, v) })
}

// Delete is Loader.Delete in this namespace.
func (n *Namespace[V]) Delete(ctx context.Context, key string) error {
	if n.cfg.Remove == nil {
		return n.Invalidate(ctx, key)
	}
	return n.write(ctx, key, func() error { return n.cfg.Remove(ctx, key) })
}

// write writes the origin and deletes key under the generation that is current then. Why
// that is enough if the generation changes meanwhile:
//
//   - before the cache is asked: the key is deleted under the new one;
//   - after: who reads under the new one loads after the change, when the origin has
//     the write.
func (n *Namespace[V]) write(ctx context.Context, key string, origin func() error) (err error) {
	l, err := n.recent(ctx)
	if err != nil {
		return err
	}
	if _, err := l.fullKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.begin(); err != nil {
		return err
	}
	defer n.writes.Done()
	defer func() { // also when origin failed or panicked: what it has then is unknown
		if ierr := n.invalidate(context.WithoutCancel(ctx), key); ierr != nil {
			err = errors.Join(err, ierr)
		}
	}()
	return origin()
}

// invalidate deletes keys under the current generation. One that was drawn without the cache says nothing of what others will read when
// that is back: the generation before, if it still has it, and under that the keys' old values. So that must not come back: the
// copies that could not be asked are owed its delete. ctx may end between the deletes of many keys, as it may for a Loader.
func (n *Namespace[V]) invalidate(ctx context.Context, keys ...string) error {
	for {
		sctx, cancel := settle(ctx)
		g, err := n.at(sctx, time.Now())
		cancel()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotInvalidated, err)
		}
		if err = g.l.Invalidate(ctx, keys...); errors.Is(err, ErrClosed) {
			continue // the generation has changed between the two
		}
		if g.number&openly != 0 {
			err = errors.Join(err, n.gens.Invalidate(context.WithoutCancel(ctx), n.name))
		}
		return err
	}
}

// Invalidate is Loader.Invalidate in this namespace.
func (n *Namespace[V]) Invalidate(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.begin(); err != nil {
		return err
	}
	defer n.writes.Done()
	return n.invalidate(ctx, keys...)
}

// InvalidateAll changes the generation: no value that is cached now is read again, in this
// process from now on, in others at the latest after their MaxAge. Its error is
// Invalidate's for one key.
func (n *Namespace[V]) InvalidateAll(ctx context.Context) error {
	if err := n.begin(); err != nil {
		return err
	}
	defer n.writes.Done()
	if err := n.gens.Invalidate(ctx, n.name); err != nil {
		return err
	}
	// This process must not go on with what it knows, nor with what a call under way has
	// asked for before the generation was gone.
	_, err := n.at(ctx, time.Now())
	return err
}

// Close is Loader.Close.
func (n *Namespace[V]) Close() error {
	n.mu.Lock()
	n.refusing = true
	n.mu.Unlock()
	n.writes.Wait() // they need gens
	err := n.gens.Close()
	n.mu.Lock()
	n.ended = true
	g := n.known.Load()
	n.mu.Unlock()
	if g != nil {
		_ = g.l.Close() // without a journal there is no error
	}
	n.old.Wait()
	return err
}
