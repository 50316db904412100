package loader

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/memherd/memherd/client/item"
)

// refreshPause is how long the right to refresh is kept after a load that failed: as long
// as the origin fails, the fleet tries each key once in that time, not at each read. It ends with the value, whose readers would wait for nothing.
const refreshPause = 3 * time.Second

// askPause is how long this process does not ask for the right to refresh a key again after it
// did not get it: others have it, what is read is a near-cache's and does not show that yet,
// or the cache gives none.
const askPause = time.Second

// keepWatch is how many keys a shard may watch before it looks for those that are done with.
const keepWatch = 256

// refreshing is what this process knows of the refresh of a key.
type refreshing[V any] struct {
	f *flight[V] // ours, under way; nil if another process has the right
	// Of another process's: the value that is being replaced, and when we no longer
	// believe that it will be. Without a CAS: when we may ask again.
	cas     uint64
	forceAt time.Time
}

// deadline is when the refresher of a value that was seen under refresh now counts as
// dead. It is not the same in all processes, so that one of them is first and the others see
// what it stored.
func (l *Loader[V]) deadline() time.Time {
	return time.Now().Add(l.cfg.LeaseTTL + rand.N(l.cfg.LeaseTTL))
}

// refreshSoon starts a refresh of a value that was just read under lease, unless
// somebody else does it: this process (the shard's stale), or another, which the node's mark shows.
func (l *Loader[V]) refreshSoon(ctx context.Context, s *shard[V], full string, lease *item.Lease, e *envelope, age time.Duration) {
	if age >= e.soft {
		l.count.staleHits.Add(1)
	}
	o := item.LeaseOptions{TTL: l.cfg.LeaseTTL, NoNear: true, Refresh: e.left(lease.Item.TTL, age)}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.stale[full]
	if k != nil && k.f != nil || s.flights[full] != nil {
		return
	}
	if lease.Refreshing {
		if k == nil || k.cas != lease.Item.CAS {
			s.watch(full, &refreshing[V]{cas: lease.Item.CAS, forceAt: l.deadline()})
			return
		}
		if time.Now().Before(k.forceAt) {
			return
		}
		o.Force = true
	} else if k != nil && k.cas == 0 && time.Now().Before(k.forceAt) {
		return
	}
	if l.begin() != nil {
		return
	}
	f := &flight[V]{key: full, ctx: context.WithoutCancel(ctx)}
	s.watch(full, &refreshing[V]{f: f})
	l.count.refreshes.Add(1)
	go l.fresher(s, f, o, e.written, time.Now().Add(e.hard-age))
}

// watch keeps k. The caller holds s.mu.
func (s *shard[V]) watch(full string, k *refreshing[V]) {
	s.stale[full] = k
	if len(s.stale)%keepWatch != 0 {
		return
	}
	now := time.Now()
	for key, old := range s.stale {
		if old.f == nil && now.After(old.forceAt) {
			delete(s.stale, key)
		}
	}
}

// doom tells a refresh under way what becomes of its lease, as for a flight. The
// caller holds s.mu.
func (s *shard[V]) doom(full string, end fate) {
	if k := s.stale[full]; k != nil && k.f != nil && k.f.fate == fateFill {
		k.f.fate = end
	}
}

// claim makes f the refresh of its key in this process, unless there is one.
func (s *shard[V]) claim(f *flight[V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.stale[f.key]; k != nil && k.f != nil {
		return false
	}
	s.watch(f.key, &refreshing[V]{f: f})
	return true
}

func (s *shard[V]) unclaim(f *flight[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.stale[f.key]; k != nil && k.f == f {
		delete(s.stale, f.key)
	}
}

// fresher refreshes the value written at was, which is served until end, and reports how that went.
func (l *Loader[V]) fresher(s *shard[V], f *flight[V], o item.LeaseOptions, was, end time.Time) {
	defer l.wg.Done()
	lease, ok := l.leaseRefresh(f, o, was)
	if !ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watch(f.key, &refreshing[V]{forceAt: time.Now().Add(askPause)})
		return
	}
	defer s.unclaim(f)
	began := time.Now()
	err := l.refill(s, f, lease)
	if h := l.cfg.Hooks.Refresh; h != nil {
		h(l.userKey(f.key), time.Since(began), err)
	}
	if err == nil {
		return
	}
	l.count.refreshErrors.Add(1)
	if lease.State == item.LeaseRefresh {
		t := time.NewTimer(min(refreshPause/2+rand.N(refreshPause/2), time.Until(end)))
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.closing:
		}
	}
	l.release(f.ctx, lease)
}

// leaseRefresh takes the right to replace the value written at was.
func (l *Loader[V]) leaseRefresh(f *flight[V], o item.LeaseOptions, was time.Time) (lease item.Lease, ok bool) {
	for range lateTries {
		var err error
		if lease, err = l.lease(f, o); err != nil {
			return lease, false
		}
		switch lease.State {
		case item.LeaseWon:
			return lease, true // it is gone by now: the next reader needs not wait
		case item.LeaseHit, item.LeaseRefresh:
			e, err := openEnvelope(lease.Item.Value, f.key, l.cfg.MaxValueBytes)
			same := err == nil && e.written.Equal(was)
			if lease.State == item.LeaseRefresh {
				if !same {
					l.release(f.ctx, lease)
				}
				return lease, same
			}
			if !same || lease.Refreshing {
				return lease, false
			}
			// The life we named was a guess (Freshness), and too short.
			o.Refresh = e.left(lease.Item.TTL, l.ageOf(&e, lease.Item.TTL))
		default:
			return lease, false
		}
	}
	return lease, false
}

// refill loads and fills under lease. It returns the load's error, with the lease still
// to be given back.
func (l *Loader[V]) refill(s *shard[V], f *flight[V], lease item.Lease) error {
	v, _, err := l.load(f)
	absent := errors.Is(err, ErrNotFound)
	switch end := s.seal(f); {
	case end == fateSuperseded:
		l.count.voided.Add(1)
	case end == fateVoid:
		l.count.voided.Add(1)
		l.release(f.ctx, lease)
	case err != nil && !absent:
		return err
	case absent && l.cfg.NegativeTTL < 0:
		l.forget(f, lease)
	default:
		if !l.fill(f, &lease, v, absent) && f.unfilled != nil {
			return f.unfilled
		}
	}
	return nil
}

// forget ends the lease of a key that the origin does not have and whose absence is not to be
// remembered: a value that is still there goes, too.
func (l *Loader[V]) forget(f *flight[V], lease item.Lease) {
	if lease.State != item.LeaseRefresh {
		l.release(f.ctx, lease) // the next who asks wins at once
		return
	}
	l.discard(f)
}

// rescue returns a value past its time for those whose load has failed, if there is
// one and Freshness.IfError allows it. It is read now, after f has left the table, and
// so is no older than anything that had been confirmed when any of f's waiters came:
// what a Put or Delete has removed meanwhile is not found.
func (l *Loader[V]) rescue(f *flight[V], cause error) (v V, ok bool) {
	if l.cfg.Freshness.IfError == 0 {
		return v, false
	}
	lease, err := l.lease(f, item.LeaseOptions{TTL: l.cfg.LeaseTTL, NoNear: true})
	if err != nil {
		return v, false
	}
	if lease.State != item.LeaseHit {
		l.release(f.ctx, lease)
		return v, false
	}
	v, e, err := l.open(f.key, lease.Item.Value)
	if err != nil || e.kind != kindValue || l.ageOf(&e, lease.Item.TTL) >= e.hard+l.cfg.Freshness.IfError {
		var none V
		return none, false
	}
	l.count.rescued.Add(1)
	if h := l.cfg.Hooks.Stale; h != nil {
		h(l.userKey(f.key), cause)
	}
	return v, true
}
