package scenario

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// originDelay is how long the origin takes for a load or a write: long enough for
// several callers to miss one key meanwhile.
const originDelay = 2 * time.Millisecond

// processes is how many processes load through the cache, each with a client and a
// loader of its own, unless a scenario has more.
const processes = 2

// backing is the origin, with its loads counted by kind.
type backing struct {
	*origin.Synthetic
	again atomic.Int64 // loads of keys that had been cached
	mu    sync.Mutex   // guards seen
	seen  map[string]bool
}

func newBacking(hot []string) *backing {
	sizes := make([]int, len(hot))
	for i := range sizes {
		sizes[i] = valueSize
	}
	return &backing{Synthetic: origin.NewSynthetic(hot, sizes, originDelay), seen: map[string]bool{}}
}

// Load knows every fresh key besides those it was made with.
func (b *backing) Load(ctx context.Context, key string) ([]byte, error) {
	if !strings.HasPrefix(key, freshPrefix) {
		b.again.Add(1)
		b.mu.Lock()
		b.seen[key] = true
		b.mu.Unlock()
		return b.Synthetic.Load(ctx, key)
	}
	t := time.NewTimer(originDelay)
	defer t.Stop()
	select {
	case <-t.C:
		return value.Make(key, 1, valueSize), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// forget starts the counting anew, when the cache has been filled.
func (b *backing) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.seen)
	b.again.Store(0)
}

// distinct is how many keys that had been cached were loaded.
func (b *backing) distinct() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.seen))
}

// process reads and writes through memherd's loader. It is a cache that never misses.
type process struct {
	client *client.Client
	*loader.Loader[[]byte]
}

func (r *run) process(nodes []ring.Node, b *backing) (*process, error) {
	c, err := r.client(nodes, nil)
	if err != nil {
		return nil, err
	}
	l, err := loader.New[[]byte](c, loader.Config[[]byte]{Load: b.Load, Store: b.Store, Codec: loader.Bytes{}, Write: loader.WriteThrough})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &process{c, l}, nil
}

func (p *process) Set(ctx context.Context, key string, v []byte) error { return p.Put(ctx, key, v) }
func (p *process) Close() error                                        { return errors.Join(p.Loader.Close(), p.client.Close()) }

// byHand is what programs do around gomemcache: on a miss or a failure they ask the
// origin, and store what it says.
type byHand struct {
	cache
	origin *backing
}

func (h byHand) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := h.cache.Get(ctx, key)
	if err == nil {
		return b, nil
	}
	missed := errors.Is(err, rival.ErrMiss)
	if b, err = h.origin.Load(ctx, key); err == nil && missed {
		_ = h.cache.Set(ctx, key, b) // or it is loaded again
	}
	return b, err
}

func (h byHand) Set(ctx context.Context, key string, v []byte) error {
	if err := h.origin.Store(ctx, key, v); err != nil {
		return err
	}
	return h.cache.Set(ctx, key, v)
}

// loading is a fleet without proxies under a load through loaders, or by hand.
type loading struct {
	*load
	s  *stage
	ps []*process // memherd's
}

// throughLoaders fills the cache of a fleet and puts a load on it; what is played on it
// must return when the load may end.
func (r *run) throughLoaders(nodes int, l *load, play func(g *loading) error) (err error) {
	s, err := raise(nodes, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	g := &loading{load: l, s: s}
	l.origin = newBacking(keys(r.Keys))
	for range max(r.processes, processes) {
		var c cache
		if r.player == base {
			if c, err = r.open(s.straight(), newDials()); err != nil {
				return err
			}
			c = byHand{c, g.origin}
		} else {
			p, err := r.process(s.straight(), g.origin)
			if err != nil {
				return err
			}
			g.ps, c = append(g.ps, p), p
		}
		defer closing(&err, c.Close)
		l.caches = append(l.caches, c)
	}
	fill := func(key string) error {
		_, err := l.caches[0].Get(r.ctx, key)
		return err
	}
	if err := r.start(l, fill); err != nil {
		return err
	}
	return errors.Join(play(g), l.stop())
}

// open is how many loads memherd's loaders have made because the cache failed.
func (g *loading) open() (n uint64) {
	for _, p := range g.ps {
		n += p.Counters().FailOpen
	}
	return n
}

// up waits until all of memherd's clients read from a node again.
func (g *loading) up(node string) error {
	for _, p := range g.ps {
		if _, err := g.r.awaitUp(p.client, node); err != nil {
			return err
		}
	}
	return nil
}
