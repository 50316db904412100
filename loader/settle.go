package loader

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/memherd/memherd/client/item"
)

// settleAtOnce is how many writes are settled together: about as many as a client has under way to
// one node. Puts of their keys wait meanwhile.
const settleAtOnce = 128

// settlement is a write that the origin has, or is not to have.
type settlement struct {
	job
	has bool
}

// again is what is to be stored again: leases and items of the writes at these positions. Its memory is used again.
type again struct {
	at     []int
	leases []item.Lease
	items  []item.Item
}

var againPool = sync.Pool{New: func() any { return new(again) }}

func (a *again) done() {
	clear(a.leases)
	clear(a.items)
	*a = again{a.at[:0], a.leases[:0], a.items[:0]}
	againPool.Put(a)
}

// settleAll sees to the copies after the origin has the writes, or is not to have them,
// and then forgets them (consistency rule 8).
//
// Our value is stored again under the tokens that our first store returned. That it is
// still there is not enough: a reader may have read the origin before the flush, and
// fill the key when it is evicted later; a new store voids all such readers' tokens. And
// where it is not there any more, somebody may have stored what is older than the
// origin by now, so the key is deleted on every copy, as it is when the tokens are
// unknown: after a restart, or because the first store failed.
func (l *Loader[V]) settleAll(all []settlement) {
	var busy []settlement
	for part := range slices.Chunk(all, settleAtOnce) {
		held := part[:0:0]
		for _, s := range part {
			// Who holds many must not wait for one more: its holder may do so, too.
			select {
			case s.e.copies <- struct{}{}:
				held = append(held, s)
			default:
				busy = append(busy, s)
			}
		}
		l.settleHeld(held)
	}
	for _, s := range busy {
		s.e.copies <- struct{}{}
		l.settleHeld([]settlement{s})
	}
}

// settleHeld is settleAll for those whose copies the caller holds, which it gives back.
func (l *Loader[V]) settleHeld(held []settlement) {
	defer func() {
		for _, s := range held {
			<-s.e.copies
		}
	}()
	// Without cancellation: Close may have stopped waiting, the origin has it all the same.
	ctx := context.WithoutCancel(l.back.ctx)
	var gone []int // positions
	again := againPool.Get().(*again)
	defer again.done()
	for i, s := range held {
		if !l.back.isNewest(s.job) {
			continue
		}
		e, rec := s.e, s.p.rec
		kept := e.kept
		e.kept = item.Lease{}
		if kept.State == item.LeaseWrite && e.cached == rec.Version.Seq && s.has && !rec.Deleted {
			if b, err := l.enclose(rec.Key, rec.Value); err == nil {
				l.void(rec.Key)
				again.at, again.leases = append(again.at, i), append(again.leases, kept)
				again.items = append(again.items, item.Item{Key: rec.Key, Value: b, TTL: l.keep()})
				continue
			}
		}
		gone = append(gone, i)
	}
	if len(again.at) > 0 {
		sctx, cancel := settle(ctx)
		errs := l.storeBackMany(sctx, again.leases, again.items)
		cancel()
		for n, i := range again.at {
			if err := errs[n]; err != nil && !errors.Is(err, errDeletedAll) {
				gone = append(gone, i)
			}
		}
	}
	failed := make([]error, len(gone))
	if len(gone) > 0 {
		keys := make([]string, len(gone))
		for n, i := range gone {
			keys[n] = held[i].p.rec.Key
		}
		l.invalidateMany(ctx, keys, failed)
	}
	for n, i := range gone {
		held[i].p.untold = failed[n] != nil
	}
	for _, s := range held {
		l.forgetBack(s.job)
	}
}

// forgetBack ends a write whose copies have been seen to, or lets it be tried again.
func (l *Loader[V]) forgetBack(j job) {
	if p := j.p; p.untold {
		if !p.stored {
			p.tries = 0 // the origin's failures are no failures of the cache
		}
		p.untold, p.stored = false, true
		p.tries++
		again := p.tries < l.cfg.Back.MaxAttempts
		if l.back.ctx.Err() != nil {
			again = !p.aside // so that the next start sees to the copies; it has all to do of one that was set aside
		}
		if again {
			l.back.giveUp(j, l.backoff(p.tries))
			return
		}
		// No copy can be told, nor booked as owed, for that long: the TTL bounds it.
		l.back.tally(func(c *BackCounters) { c.Untold++ })
	}
	if j.p.aside {
		l.back.park(j)
	} else {
		l.cfg.Back.Journal.Forget(j.p.rec)
	}
	l.back.finish(j)
}
