package loader

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/item"
)

// NearHolder is implemented by a Cache that tells what its near-cache will take, as *client.Client
// does. With one that is a NearReader, too, callers of this process who want the same key at one moment send
// one request for it, where decoded values are kept: see Config.ShareDecoded. HoldsNear may be wrong: if what was read
// is not held after all, each asks by itself.
type NearHolder interface {
	// HoldsNear reports whether what a node says of key now would be held in this process's
	// memory. It must not keep key, which may be of any length.
	HoldsNear(key string) bool
}

// asking is a caller's request for a key that is not read by others of this process until it has
// been answered: then the near-cache has what they came for, or there is a flight to join. They look
// into the near-cache as they would have, had they come a moment later, so nobody is told more than
// what that may tell; and if it can tell nothing, they ask.
type asking struct {
	done chan struct{} // closed when it is over; made by the first who waits, the shard's mutex guards it
	// What the answer was, if that is why there is no flight to join: written before done is closed, read after.
	hit, failed bool
}

const (
	// askTurns is how often a caller waits for another's request: twice, because a quick load may have left the table before
	// all who waited for it look there, and then one of these asks for the rest. Where the answer was a value that memory does not
	// hold, or an error, the next would be as little use.
	askTurns = 2
	// askShy is how many callers of the shard ask without waiting after one has waited in vain for a value: it may be too
	// large to be held, and then everybody who wants it would wait for somebody else first.
	askShy = 64
)

// shares reports whether to wait for others who ask for a key of s.
func (s *shard[V]) shares() bool {
	if s.shy.Load() <= 0 {
		return true
	}
	s.shy.Add(-1)
	return false
}

// ask says who asks for key: this caller (mine), who then calls asked, or one who is on the way, and closes done.
func (s *shard[V]) ask(key string) (a *asking, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a = s.asking[key]; a != nil {
		if a.done == nil {
			a.done = make(chan struct{})
		}
		return a, false
	}
	a = &asking{}
	s.asking[key] = a
	return a, true
}

func (s *shard[V]) asked(key string, a *asking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asking, key)
	if a.done != nil {
		close(a.done)
	}
}

// found is how a key's value is got: it is there (f is nil), or comes from a flight.
type found[V any] struct {
	v      V
	err    error
	f      *flight[V]
	joined uint64
	fresh  bool // the flight is this caller's
	failed bool // the cache has
}

// seek gets the value of a key that has no flight from the cache, or a flight; first is as in get. r is empty.
func (l *Loader[V]) seek(ctx context.Context, s *shard[V], full string, first bool, r *found[V]) {
	if first && l.holder != nil && l.holder.HoldsNear(full) && s.shares() {
		l.seekTogether(ctx, s, full, r)
		return
	}
	l.seekAlone(ctx, s, full, first, r)
}

// seekTogether is seek of a key that the near-cache will hold.
func (l *Loader[V]) seekTogether(ctx context.Context, s *shard[V], full string, r *found[V]) {
	for range askTurns {
		a, mine := s.ask(full)
		if mine {
			// Behind enter: who waits finds the flight.
			defer s.asked(full, a)
			l.seekAlone(ctx, s, full, true, r)
			a.hit, a.failed = r.f == nil && ctx.Err() == nil, r.failed
			return
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			r.err = ctx.Err()
			return
		}
		if k := l.lookNear(ctx, full); k != nil {
			r.v, r.err = k.answer()
			return
		}
		if r.f, r.joined = l.join(s, full); r.f != nil {
			return
		}
		if a.hit {
			s.shy.Store(askShy)
		}
		if a.hit || a.failed {
			break
		}
	}
	l.seekAlone(ctx, s, full, true, r)
}

func (l *Loader[V]) seekAlone(ctx context.Context, s *shard[V], full string, first bool, r *found[V]) {
	lease, err := l.cache.Lease(ctx, full, item.LeaseOptions{TTL: l.cfg.LeaseTTL})
	if err == nil && lease.State == item.LeaseHit {
		seen, ok := time.Duration(0), false
		if r.v, r.err, ok = l.takeHit(ctx, full, &lease, first, &seen); !ok {
			l.enterAlone(ctx, s, full, &start{ask: true, seen: seen}, r)
		}
		return
	}
	l.seekMissed(ctx, s, full, &lease, err, r)
}

// seekMissed is seekAlone once the cache has answered with something else than a hit. As in client.Client.Get, it is apart so that
// what it needs is not on the stack of a caller who waits for the cache.
func (l *Loader[V]) seekMissed(ctx context.Context, s *shard[V], full string, lease *item.Lease, err error, r *found[V]) {
	if err != nil && ctx.Err() != nil {
		r.err = ctx.Err()
		return
	}
	r.failed = err != nil
	l.enterAlone(ctx, s, full, &start{lease: *lease, err: err}, r)
}

// enterAlone enters a flight with what seekAlone has got.
func (l *Loader[V]) enterAlone(ctx context.Context, s *shard[V], full string, st *start, r *found[V]) {
	if r.f, r.joined, r.fresh, r.err = l.enter(ctx, s, full, st, l.flyAlone); r.err != nil && st.won() {
		l.release(ctx, st.lease)
	}
}
