package loader

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/item"
)

// everyone is an asOf that satisfies every waiter.
const everyone = math.MaxUint64

// flight is one attempt to get one key's value for all callers that wait for it. It
// runs in a goroutine of its own (Loader.fly) and is in one of two stages:
//
//	waiting  another process has the right to load: ask again after a pause. A caller
//	         that wins the lease by itself hands it to the flight. Ends when the last
//	         caller leaves.
//	loading  Load runs, or its turn is awaited. Nothing but LoadTimeout stops it.
//
// A flight is joined through the table, which holds the newest flight of each key,
// and leaves the table before it fills: see Loader.land.
type flight[V any] struct {
	key string
	ctx context.Context // the first caller's values, without its cancellation

	// Guarded by the mutex of the key's shard.
	waiting bool
	waiters int         // callers that will take the result
	left    bool        // the last waiter left and nobody came since
	latest  uint64      // largest joined stamp of any waiter, see result.asOf
	handed  *item.Lease // won by a caller while waiting
	fate    fate

	wake chan struct{} // cap 1: look at handed; nil unless the flight began by waiting

	unfilled error // why the value could not be cached; nil if it was voided

	// Written before done is closed, read after.
	done chan struct{}
	res  result[V]
	next *flight[V] // for the waiters that res is too old for; may be nil

	cost time.Duration // of the call of Load, for its own goroutine only
}

// result is what a flight found. Loader.seq counts points in time: a waiter's joined
// stamp is the count when it joined, asOf the count made just before the origin (or
// the cache, for a hit) was asked. asOf > joined proves that the value was read after
// the waiter came, so no write that ended before the waiter came can be missing.
type result[V any] struct {
	val  V
	err  error
	asOf uint64
}

// fate is what becomes of a load's lease.
type fate uint8

const (
	// fateFill: fill it with the value.
	fateFill fate = iota
	// fateVoid: this process wrote the key after the load began: do not fill, release.
	fateVoid
	// fateSuperseded: a write-through of this process has taken tokens and will settle
	// the key: do not fill, and do not release either, because a release would remove
	// the stub the writer's tokens are for, and with it the written value's place.
	fateSuperseded
)

const tableShards = 64

// table finds the flight of a key.
type table[V any] struct {
	seed   maphash.Seed
	shards [tableShards]shard[V]
}

type shard[V any] struct {
	// n is len(flights), so that a hit on a quiet shard takes no lock. A reader that
	// sees an old 0 only asks the cache itself and finds the flight afterwards.
	n  atomic.Int32
	mu sync.Mutex // guards flights and the fields of every flight of the shard's keys
	// flights has the newest flight of a key, while it may be joined.
	flights map[string]*flight[V]
	// stale has the keys whose values are being refreshed, here or, as far as we saw,
	// by others.
	stale map[string]*refreshing[V]
	// asking has the keys that a caller asks the cache for, and others wait for that.
	asking map[string]*asking
	shy    atomic.Int32 // see shares
	_      [20]byte     // keeps neighbours' n off this cache line
}

func (t *table[V]) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].flights = make(map[string]*flight[V])
		t.shards[i].stale = make(map[string]*refreshing[V])
		t.shards[i].asking = make(map[string]*asking)
	}
}

func (t *table[V]) shard(key string) *shard[V] {
	return &t.shards[maphash.String(t.seed, key)%tableShards]
}

// put makes f the flight of its key. The caller holds s.mu.
func (s *shard[V]) put(f *flight[V]) {
	s.flights[f.key] = f
	s.n.Store(int32(len(s.flights)))
}

// drop ends the joining of f. The caller holds s.mu.
func (s *shard[V]) drop(f *flight[V]) {
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
		s.n.Store(int32(len(s.flights)))
	}
}

// attach adds a waiter that came at joined. The caller holds s.mu. A flight that is
// done already may be attached to: its result stands.
func (f *flight[V]) attach(joined uint64) {
	f.waiters++
	f.left = false
	f.latest = max(f.latest, joined)
}

// leave takes back one attach. A poller that nobody waits for notices after its pause.
func (s *shard[V]) leave(f *flight[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	f.left = f.waiters == 0
}

// hand gives f, which waits, a lease that a caller won. The caller holds s.mu. If one
// was handed before, it is void, or this newer one could not have been won.
func (f *flight[V]) hand(lease *item.Lease) {
	f.handed = lease
	select {
	case f.wake <- struct{}{}:
	default: // one is pending, and covers this one too
	}
}

// start is how a flight begins: with what its first caller got from the cache.
type start struct {
	lease item.Lease
	err   error // the cache failed
	ask   bool  // nothing useful is known: ask the cache first
	// seen is what was left of the life of the value that is to be replaced, see
	// item.LeaseOptions.Refresh; 0 if there is none.
	seen time.Duration
}

func (st *start) won() bool { return st.err == nil && !st.ask && st.lease.State == item.LeaseWon }

// join returns the flight of key with this caller attached, or nil.
func (l *Loader[V]) join(s *shard[V], key string) (*flight[V], uint64) {
	if s.n.Load() == 0 {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[key]
	if f == nil {
		return nil, 0
	}
	joined := l.seq.Load()
	f.attach(joined)
	return f, joined
}

// enter attaches this caller to the flight of key, which it starts if there is none,
// and makes use of what the caller got from the cache. A lease the caller won is
// handed to a flight that waits for one. If a load is under way already, its lease
// must have been voided or outlived, or this one could not have been won: the load
// that starts now replaces it in the table and the old one serves those it has. fly gets
// a new flight going.
func (l *Loader[V]) enter(ctx context.Context, s *shard[V], key string, st *start, fly launcher[V]) (f *flight[V], joined uint64, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	joined = l.seq.Load()
	if f = s.flights[key]; f != nil && (f.waiting || !st.won()) {
		if st.won() {
			lease := st.lease // of its own, since it is kept
			f.hand(&lease)
		}
		f.attach(joined)
		return f, joined, false, nil
	}
	if f, err = l.launch(s, context.WithoutCancel(ctx), key, st, fly); err != nil {
		return nil, 0, false, err
	}
	f.attach(joined)
	return f, joined, true, nil
}

// launch starts a flight and puts it into the table. The caller holds s.mu.
func (l *Loader[V]) launch(s *shard[V], ctx context.Context, key string, st *start, fly launcher[V]) (*flight[V], error) {
	if err := l.begin(); err != nil {
		return nil, err
	}
	f := &flight[V]{key: key, ctx: ctx, waiting: !st.won(), done: make(chan struct{})}
	if f.waiting {
		f.wake = make(chan struct{}, 1)
	}
	s.put(f)
	fly(s, f, *st)
	return f, nil
}

// await waits for a result that is not too old for a caller that joined f. again
// means that there is none and the caller must start over.
func (l *Loader[V]) await(ctx context.Context, s *shard[V], f *flight[V], joined uint64) (v V, err error, again bool) {
	for {
		select {
		case <-f.done:
		case <-ctx.Done():
			s.leave(f)
			return v, ctx.Err(), false
		}
		if f.res.asOf > joined {
			return f.res.val, f.res.err, false
		}
		if f.next == nil {
			return v, nil, true
		}
		f = f.next
		s.mu.Lock()
		f.attach(joined)
		s.mu.Unlock()
	}
}

// land gives f's result to its waiters. Those the result may be too old for are sent
// to one flight together: to the key's newest, or to one started for them, whose load
// then begins after all of them came. So nobody waits for more than a few loads,
// however many callers there are and however often others write the key.
func (l *Loader[V]) land(s *shard[V], f *flight[V], res result[V]) {
	s.mu.Lock()
	s.drop(f)
	if f.waiters > 0 && f.latest >= res.asOf {
		if f.next = s.flights[f.key]; f.next == nil {
			// An error means that the loader is closing: they will find out.
			f.next, _ = l.launch(s, f.ctx, f.key, &start{ask: true}, l.flyAlone)
		}
	}
	f.res = res
	s.mu.Unlock()
	close(f.done)
}

// take moves f from waiting to loading. It returns a lease that was handed in at the
// last moment, for the caller to release or use.
func (s *shard[V]) take(f *flight[V]) *item.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting = false
	h := f.handed
	f.handed = nil
	return h
}

// seal ends the joining of f and returns what its lease is to be used for.
func (s *shard[V]) seal(f *flight[V]) fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(f)
	return f.fate
}
