package loader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client/item"
)

const (
	// corruptTries is how many times one flight deletes what it cannot read before it
	// loads without the cache: somebody keeps writing foreign values.
	corruptTries = 3
	// lateTries is how many times one flight asks for the right to replace a value past its
	// time before it deletes it: two, because the life it names first may be a guess.
	lateTries = 2
)

// fly runs one flight from start to landing.
func (l *Loader[V]) fly(s *shard[V], f *flight[V], st start) {
	defer l.wg.Done()
	growStack()
	res := result[V]{err: errExited, asOf: everyone}
	defer func() { l.land(s, f, res) }() // even if the codec exits
	res = l.resolve(s, f, st)
}

// growStack makes the stack of a goroutine that has just begun as large as a flight's becomes. It would become so by itself,
// but when a dozen frames are on it, each of which is rewritten as the stack moves.
//
//go:noinline
func growStack() (sum byte) {
	var room [5 << 10]byte
	for i := 0; i < len(room); i += 1024 {
		sum += room[i]
	}
	return sum
}

// resolve finds f's result: a hit, a load under a lease, or a load without the cache.
func (l *Loader[V]) resolve(s *shard[V], f *flight[V], st start) result[V] {
	var (
		lease   = st.lease
		err     = st.err
		ask     = st.ask
		o       = item.LeaseOptions{TTL: l.cfg.LeaseTTL, Refresh: st.seen}
		asOf    uint64
		began   = time.Now()
		bad     int
		claimed bool      // see shard.claim
		late    int       // answers with a value past its time that nobody refreshes
		forceAt time.Time // when the refresher of such a value counts as dead
		giveUp  = time.Now().Add(2*l.cfg.LeaseTTL + l.cfg.LoadTimeout)
	)
	for {
		if ask {
			asOf = l.seq.Add(1)
			lease, err = l.lease(f, o)
			ask = false
		}
		wait := lease.State == item.LeaseWait
		switch {
		case err != nil:
			return l.loadOpen(s, f, err)
		case lease.State == item.LeaseWon:
			return l.loadLeased(s, f, &lease)
		case lease.State == item.LeaseHit || lease.State == item.LeaseRefresh:
			v, e, err := l.open(f.key, lease.Item.Value)
			age := l.ageOf(&e, lease.Item.TTL)
			switch {
			case err == nil && l.judge(&e, age) != isExpired:
				if lease.State == item.LeaseRefresh { // stored anew since it was seen
					l.release(f.ctx, lease)
				}
				if h := s.take(f); h != nil {
					l.release(f.ctx, *h)
				}
				if e.kind == kindAbsent {
					return result[V]{err: ErrNotFound, asOf: asOf}
				}
				return result[V]{val: v, asOf: asOf}
			case lease.State == item.LeaseRefresh && !lease.Marked() && !o.Force && !claimed:
				// Nodes that know no marks give the right to everybody. So this process takes
				// turns with itself: a flight that has left the table may still be filling.
				l.release(f.ctx, lease)
				if claimed = s.claim(f); claimed {
					defer s.unclaim(f)
					ask = true // the turn before may have filled meanwhile
				}
				wait = !claimed
			case lease.State == item.LeaseRefresh:
				return l.loadLeased(s, f, &lease)
			case err != nil:
				if bad++; bad > corruptTries {
					return l.loadOpen(s, f, err)
				}
				l.corrupt(f, err)
				l.discard(f)
				ask, o.Refresh = true, 0
			case lease.Refreshing:
				wait = true
				if forceAt.IsZero() {
					forceAt = l.deadline()
				}
				o.Refresh, o.Force = e.left(lease.Item.TTL, age), time.Now().After(forceAt)
			case late < lateTries:
				late++
				ask, o.Refresh = true, e.left(lease.Item.TTL, age)
			default:
				// This cache gives no right to refresh.
				late = 0
				l.discard(f)
				ask, o.Refresh = true, 0
			}
		case wait:
		default: // LeaseNone
			return l.loadOpen(s, f, errNoLease)
		}
		if wait {
			if time.Now().After(giveUp) {
				// Longer than a holder may live twice over: the cache does not keep its
				// leases, or its holders fail one after the other.
				return l.loadOpen(s, f, errWaitedOut)
			}
			now := time.Now()
			began = l.pace.since(began, now, lease.Held)
			h, err := l.pause(s, f, l.pace.pause(now.Sub(began)))
			switch {
			case err == errAbandoned:
				return result[V]{err: err} // who attaches all the same starts over
			case err != nil:
				return result[V]{err: err, asOf: everyone}
			case h != nil:
				return l.loadLeased(s, f, h)
			}
			l.count.polls.Add(1)
			ask = true
		}
	}
}

// lease asks the cache once more, on behalf of all who wait.
func (l *Loader[V]) lease(f *flight[V], o item.LeaseOptions) (item.Lease, error) {
	sent := time.Now()
	lease, err := l.cache.Lease(l.bounds.of(f.ctx, sent), f.key, o)
	l.pace.answered(time.Since(sent))
	return lease, err
}

// pause waits for d, less when something happens: a caller handed its lease in
// (returned), everybody left (errAbandoned) or the loader closes (ErrClosed).
func (l *Loader[V]) pause(s *shard[V], f *flight[V], d time.Duration) (*item.Lease, error) {
	t := time.NewTimer(d)
	defer t.Stop()
	closing := false
	select {
	case <-t.C:
	case <-f.wake:
	case <-l.closing:
		closing = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case f.handed != nil:
		h := f.handed
		f.handed, f.waiting = nil, false
		return h, nil
	case closing:
		s.drop(f)
		return nil, ErrClosed
	case f.left:
		// Under the lock nobody can join between this check and the drop. A waiter
		// sent here by land that has not attached yet starts over when it does.
		s.drop(f)
		return nil, errAbandoned
	}
	return nil, nil
}

// corrupt tells of bytes nobody here can read.
func (l *Loader[V]) corrupt(f *flight[V], err error) {
	l.count.corrupt.Add(1)
	if h := l.cfg.Hooks.Corrupt; h != nil {
		h(l.userKey(f.key), err)
	}
}

// discard deletes the key, so that the next lease request misses.
func (l *Loader[V]) discard(f *flight[V]) {
	ctx, cancel := settle(f.ctx)
	defer cancel()
	// If it fails the next answer is the same bytes or the cache's error, and counted.
	_, _ = l.cache.Delete(ctx, f.key)
}

// loadOpen loads without the cache because of cause, or fails if that is not wanted.
// Its result serves everyone who joined: without a token nothing could prove it
// fresh, and an origin that lost its cache needs the sharing most.
func (l *Loader[V]) loadOpen(s *shard[V], f *flight[V], cause error) result[V] {
	if h := s.take(f); h != nil {
		return l.loadLeased(s, f, h) // the cache is not so ill: a caller just won
	}
	v, err := l.loadBare(f, cause)
	return result[V]{val: v, err: err, asOf: everyone}
}

// loadBare is the load of loadOpen.
func (l *Loader[V]) loadBare(f *flight[V], cause error) (v V, err error) {
	if l.cfg.FailClosed {
		return v, fmt.Errorf("%w: %w", ErrCacheDown, cause)
	}
	l.count.failOpen.Add(1)
	if h := l.cfg.Hooks.FailOpen; h != nil {
		h(l.userKey(f.key), cause)
	}
	v, _, err = l.loadIn(context.WithValue(f.ctx, bareKey{}, l), f)
	return v, err
}

type bareKey struct{}

// isBare reports whether a call of l's Load, whose context ctx is, is one without the cache. (Others' may be further out in ctx.)
func (l *Loader[V]) isBare(ctx context.Context) bool { return ctx.Value(bareKey{}) == l }

// loadLeased loads and fills under lease. The order matters:
//
//  1. load;
//  2. leave the table, so that nobody joins any more;
//  3. fill under the token.
//
// If the fill is accepted, nobody wrote or deleted the key on its home copy between
// the lease and the fill, and nobody joined after the fill, so the value is good for
// every waiter. Were 2 after 3, this could happen: fill accepted; another process
// deletes the key and returns; a reader joins; the reader gets the deleted value.
func (l *Loader[V]) loadLeased(s *shard[V], f *flight[V], lease *item.Lease) result[V] {
	lease = l.latest(s, f, lease)
	v, asOf, err := l.load(f)
	return l.conclude(s, f, lease, v, asOf, err)
}

// latest ends the waiting of f and returns the lease to use: lease, or a newer one.
func (l *Loader[V]) latest(s *shard[V], f *flight[V], lease *item.Lease) *item.Lease {
	h := s.take(f)
	if h == nil {
		return lease
	}
	// A caller won after this lease was given, so this one is void; use the newer.
	l.release(f.ctx, *lease)
	return h
}

// conclude does what is left to do after a load under lease came to v or err.
func (l *Loader[V]) conclude(s *shard[V], f *flight[V], lease *item.Lease, v V, asOf uint64, err error) result[V] {
	res := result[V]{val: v, err: err, asOf: asOf}
	absent := errors.Is(err, ErrNotFound)
	if err != nil && !absent {
		res.asOf = everyone
	}
	switch s.seal(f) {
	case fateSuperseded:
		l.count.voided.Add(1)
		return l.unproven(f, res)
	case fateVoid:
		l.count.voided.Add(1)
		l.release(f.ctx, *lease)
		return l.unproven(f, res)
	}
	switch {
	case res.asOf == everyone:
		if lease.State == item.LeaseRefresh {
			if v, ok := l.rescue(f, err); ok {
				res.val, res.err = v, nil
			}
		}
		l.release(f.ctx, *lease) // the next who asks wins at once
		return res
	case absent && l.cfg.NegativeTTL < 0:
		l.forget(f, *lease)
		return res
	}
	if !l.fill(f, lease, v, absent) {
		return l.unproven(f, res)
	}
	res.asOf = everyone
	return res
}

// fill stores v or its absence and says whether the home copy took it.
func (l *Loader[V]) fill(f *flight[V], lease *item.Lease, v V, absent bool) bool {
	it := item.Item{Key: f.key, TTL: l.keep()}
	var err error
	if absent {
		it.TTL = l.cfg.NegativeTTL
		lives := max(it.TTL, time.Millisecond) // 0 would say that it has no times
		it.Value = newEnvelope(kindAbsent, time.Now(), life{soft: lives, hard: lives, keep: it.TTL}, 0)
		sealEnvelope(it.Value, f.key)
	} else {
		it.Value, err = l.encode(f.key, v, f.cost)
	}
	if err == nil {
		sent := time.Now()
		_, err = l.cache.Fill(l.bounds.of(f.ctx, sent), *lease, it)
		l.pace.answered(time.Since(sent))
		if err == nil {
			return true
		}
		if errors.Is(err, item.ErrLeaseLost) {
			l.count.leaseLost.Add(1)
			return false
		}
	}
	f.unfilled = err
	l.notCached(f.key, err)
	l.release(f.ctx, *lease)
	return false
}
