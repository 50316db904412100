package loader

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/item"
)

// Loader reads values of type V through a cache. It is safe for concurrent use and
// starts goroutines only while loads run, but for the workers of write-back and the audit. Make one with New.
type Loader[V any] struct {
	// What a hit looks at stands together: after a caller's wait for a node most of it is in no cache of its processor.
	cache Cache
	// checkKey refuses what the cache would not take as a key.
	checkKey  func(key string) error
	near      NearReader              // nil if decoded values are not kept: see startNear
	holder    NearHolder              // nil if near is, or the cache does not tell
	back      *flusher[V]             // nil without Back.Journal
	audit     *auditor                // nil without Audit.Share
	decodeOwn func([]byte) (V, error) // see there; nil for most codecs
	closed    atomic.Bool             // the same as closing, cheaper to read
	cfg       Config[V]

	doors   *doors        // what loads pass through
	bounds  bounds        // of requests of flights
	pace    pace          // how long loads take, and who waits for one of them pauses
	closing chan struct{} // closed by Close: flights that wait give up
	mu      sync.Mutex    // orders begin against Close; taken inside a shard's mutex
	wg      sync.WaitGroup
	seq     atomic.Uint64 // points in time, see result
	table   table[V]
	count   counters
}

// New returns a loader over c. It checks and copies cfg and does no I/O, but for reading
// Back.Journal, whose writes are on their way to the origin when it returns. The loader
// does not close c.
func New[V any](c Cache, cfg Config[V]) (*Loader[V], error) {
	if isNil(c) {
		return nil, errors.New("memherd: loader.New needs a cache: give it a *client.Client")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Loader[V]{
		cache:   c,
		cfg:     cfg,
		doors:   newDoors(cfg.Origin, cfg.MaxLoads, cfg.Hooks.Limit),
		closing: make(chan struct{}),

		checkKey: item.CheckKey,
	}
	if k, ok := c.(KeyChecker); ok {
		l.checkKey = k.CheckKey
	}
	if cfg.Consistency == Strong {
		l.cache = readHomeOnly(c)
	}
	l.decodeOwn = decodeOwn(cfg.Codec)
	l.startNear()
	l.table.init()
	l.pace.writers = cfg.Store != nil
	l.startRegion()
	if err := l.startBack(); err != nil {
		return nil, err
	}
	l.startAudit()
	return l, nil
}

// isNil is whether v is nil, or holds a nil pointer: what is left of a call whose error nobody looked at.
func isNil(v any) bool {
	p := reflect.ValueOf(v)
	return v == nil || p.Kind() == reflect.Pointer && p.IsNil()
}

// Get returns the value of key: from the cache, from a load that another caller
// began, or by loading it. It returns ErrNotFound when the origin has no such key,
// what Load returned when it failed, and ctx's error as soon as ctx ends; a load that
// was begun goes on for others.
//
// A value that came from a load is shared by all who waited for it, and with
// Config.ShareDecoded one from the near-cache by all who read it. If V holds
// pointers, slices or maps, treat what they lead to as read-only.
func (l *Loader[V]) Get(ctx context.Context, key string) (V, error) {
	if k := l.getNear(ctx, key); k != nil {
		return k.answer()
	}
	var none V
	full, err := l.fullKey(key)
	if err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if l.closed.Load() {
		return none, ErrClosed
	}
	if v, ok, err := l.readBack(full); ok {
		return v, err
	}
	return l.get(ctx, full, true)
}

// get is Get of a key that was checked; first says that it has not been counted yet.
func (l *Loader[V]) get(ctx context.Context, full string, first bool) (V, error) {
	s := l.table.shard(full)
	for ; ; first = false {
		f, joined := l.join(s, full)
		fresh := false
		if f == nil {
			var r found[V]
			if l.seek(ctx, s, full, first, &r); r.f == nil {
				return r.v, r.err
			}
			f, joined, fresh = r.f, r.joined, r.fresh
		}
		if first {
			l.count.misses.Add(1)
			if !fresh {
				l.count.waits.Add(1)
			}
		}
		if v, err, again := l.await(ctx, s, f, joined); !again {
			return v, err
		}
	}
}

// take uses a lease that is a hit: ok says that v and err answer the caller. Otherwise a flight
// has to, and st says with what it starts.
func (l *Loader[V]) take(ctx context.Context, full string, st *start, first bool) (v V, err error, ok bool) {
	if st.err != nil || st.lease.State != item.LeaseHit {
		return v, nil, false
	}
	if v, err, ok = l.takeHit(ctx, full, &st.lease, first, &st.seen); !ok {
		// Past its time, foreign or corrupt: the flight looks again, since these bytes may be
		// replaced by now.
		st.ask, st.lease = true, item.Lease{}
	}
	return v, err, ok
}

// takeHit is take of a hit. seen gets what is left of the life of one that is past its time.
func (l *Loader[V]) takeHit(ctx context.Context, full string, lease *item.Lease, first bool, seen *time.Duration) (v V, err error, ok bool) {
	ttl := lease.Item.TTL
	var e envelope
	if v, err = l.openHit(full, lease, &e); err != nil {
		return v, nil, false
	}
	age, verdict := time.Duration(0), isFresh
	if !l.surelyFresh(&e, ttl) {
		age = l.ageOf(&e, ttl)
		verdict = l.judge(&e, age)
	}
	if verdict == isExpired {
		*seen = e.left(ttl, age)
		return v, nil, false
	}
	if verdict != isFresh {
		l.refreshSoon(ctx, l.table.shard(full), full, lease, &e, age)
	}
	if first {
		l.count.hit(lease.Level, e.kind, rand.Uint32())
		// Past its soft time a value is allowed to differ from the origin.
		if verdict != isDue {
			l.sample(full)
		}
	}
	if e.kind == kindAbsent {
		return v, ErrNotFound, true
	}
	return v, nil, true
}

// Close refuses new calls with ErrClosed, lets Gets that wait for another process's
// load fail with ErrClosed, and returns when every load and write that had begun
// has ended: for a Load that ignores its context that may be long. With write-back it
// then goes on writing to the origin for at most Back.DrainTimeout; its error is
// ErrPending if anything is left in the journal for the next start but what DeadLetter was asked for
// in vain (BackCounters.Parked), and nil otherwise.
// The cache and the journal stay open. Further calls of Close wait the same way.
func (l *Loader[V]) Close() error {
	l.mu.Lock()
	if l.closed.CompareAndSwap(false, true) {
		close(l.closing)
	}
	l.mu.Unlock()
	if l.back != nil {
		l.back.refuse()
	}
	l.wg.Wait()
	l.bounds.close()
	l.stopAudit()
	return l.stopBack()
}

// begin registers work that Close must wait for; wg.Done ends it.
func (l *Loader[V]) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	l.wg.Add(1)
	return nil
}

// fullKey returns the key as it stands in the cache, checked before anything runs.
func (l *Loader[V]) fullKey(key string) (string, error) {
	if key == "" {
		return "", item.ErrMalformedKey // the prefix alone is no key
	}
	full := key
	if l.cfg.Prefix != "" {
		full = l.cfg.Prefix + key
	}
	return full, l.checkKey(full)
}

// userKey is fullKey's inverse.
func (l *Loader[V]) userKey(full string) string { return full[len(l.cfg.Prefix):] }

// release hands a lease back. An error changes nothing: the lease runs out by itself.
func (l *Loader[V]) release(ctx context.Context, lease item.Lease) {
	ctx, cancel := settle(ctx)
	defer cancel()
	_ = l.cache.Release(ctx, lease)
}
