package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/item"
)

// DefaultAuditGrace is how long a difference must last to count.
const DefaultAuditGrace = time.Second

// AuditConfig sets up the staleness audit: some of the keys that Gets find in the cache are
// loaded again in the background, and what differs is counted (Counters.Audit; these loads
// are not in Counters.Loads). It shows what no test of
// this library can: writers that forget to tell the cache.
//
// The audit takes a slot of Config.MaxLoads only when one is free and Origin.Rate allows
// it at once, has one key in hand at a
// time, and leaves out hits that come meanwhile, so it delays no hit. (A load that begins while it has
// the last slot, or the last turn of Rate, waits for it as for any other.) Values past Freshness.Soft are left out: they may be old. A difference counts if the origin and the home copy still differ after
// Grace, and nobody has stored the key between: a write under way is no fault.
type AuditConfig[V any] struct {
	// Share is the share of hits that are audited, from 0 to 1. 0 means none.
	Share float64
	// Equal says whether two values are the same. Nil compares what the codec makes of
	// them, which will not do for one that encodes a value in several ways, as gob does maps.
	Equal func(a, b V) bool
	// Grace is the pause before a difference is looked at again. 0 means 1 s. It should be
	// longer than a write takes from the origin to the cache.
	Grace time.Duration
	// Stale is called for each difference, on the audit's goroutine, with the time
	// since the value was stored by its writer's clock. Nil: it is counted alone.
	Stale func(key string, age time.Duration)
}

// AuditCounters is what the audit has found since New.
type AuditCounters struct {
	Checked  uint64        // keys that were loaded again and compared
	Stale    uint64        // of these, keys whose cached value, or absence, was not the origin's
	Oldest   time.Duration // the greatest age of such a value
	Moved    uint64        // keys that were written, evicted, or due for a refresh during their audit
	Failures uint64        // audits that ended with an error of the origin or the cache
	Skipped  uint64        // sampled hits left out: the audit or the origin was busy
}

func (c AuditConfig[V]) withDefaults() (AuditConfig[V], error) {
	switch {
	case !(c.Share >= 0 && c.Share <= 1): // NaN, too
		return c, fmt.Errorf("memherd: loader.Config.Audit.Share is %v: need 0 to 1", c.Share)
	case c.Grace < 0:
		return c, fmt.Errorf("memherd: loader.Config.Audit.Grace is negative (%v): use 0 for the default", c.Grace)
	case c.Grace == 0:
		c.Grace = DefaultAuditGrace
	}
	return c, nil
}

type auditor struct {
	keys   chan string // full keys, unbuffered: the goroutine is ready for one or it is left out
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	skipped atomic.Uint64
	mu      sync.Mutex // guards found
	found   AuditCounters
}

func (l *Loader[V]) startAudit() {
	if l.cfg.Audit.Share == 0 {
		return
	}
	a := &auditor{keys: make(chan string)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	l.audit = a
	a.wg.Go(func() {
		for {
			select {
			case key := <-a.keys:
				l.auditKey(key)
			case <-a.ctx.Done():
				return
			}
		}
	})
}

func (l *Loader[V]) stopAudit() {
	if l.audit != nil {
		l.audit.cancel()
		l.audit.wg.Wait()
	}
}

// sample offers a hit to the audit.
func (l *Loader[V]) sample(full string) {
	if a := l.audit; a != nil && rand.Float64() < l.cfg.Audit.Share {
		a.offer(full)
	}
}

func (a *auditor) offer(full string) {
	select {
	case a.keys <- full:
	default:
		a.skipped.Add(1)
	}
}

func (a *auditor) tally(f func(*AuditCounters)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.found)
}

func (a *auditor) counters() AuditCounters {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.found
	c.Skipped += a.skipped.Load()
	return c
}

// auditKey compares the origin and the home copy, twice if they differ at first. The
// origin is read first: what is cached then is as new or newer, if all is well.
func (l *Loader[V]) auditKey(full string) {
	a := l.audit
	before, same, err := l.auditOnce(full)
	if err == nil && !same {
		t := time.NewTimer(l.cfg.Audit.Grace)
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.ctx.Done():
			return
		}
		var now []byte
		if now, same, err = l.auditOnce(full); err == nil && !same && !bytes.Equal(before, now) {
			err = errMoved
		}
	}
	switch {
	case err == errMoved:
		a.tally(func(c *AuditCounters) { c.Moved++ })
	case err == errOriginFull:
		a.tally(func(c *AuditCounters) { c.Skipped++ })
	case err != nil:
		if a.ctx.Err() == nil {
			a.tally(func(c *AuditCounters) { c.Failures++ })
		}
	case same:
		a.tally(func(c *AuditCounters) { c.Checked++ })
	default:
		e, _ := openEnvelope(before, full, l.cfg.MaxValueBytes) // it was opened before
		age := time.Since(e.written)
		a.tally(func(c *AuditCounters) {
			c.Checked++
			c.Stale++
			c.Oldest = max(c.Oldest, age)
		})
		if h := l.cfg.Audit.Stale; h != nil {
			h(l.userKey(full), age)
		}
	}
}

// auditOnce returns what is cached, and whether it is what the origin has.
func (l *Loader[V]) auditOnce(full string) (cached []byte, same bool, err error) {
	if !l.admitSpare() {
		return nil, false, errOriginFull
	}
	ctx, cancel := context.WithTimeoutCause(l.audit.ctx, l.cfg.LoadTimeout, ErrLoadTimeout)
	defer cancel()
	var want V
	err = isolated(func() (err error) {
		began, exited := time.Now(), true
		defer func() { l.doors.leave(time.Since(began), exited || failed(err)) }()
		want, err = l.cfg.Load(ctx, l.userKey(full))
		exited = false
		return err
	})
	absent := errors.Is(err, ErrNotFound)
	if err != nil && !absent {
		return nil, false, err
	}
	lease, err := l.cache.Lease(ctx, full, item.LeaseOptions{NoNear: true})
	if err != nil {
		return nil, false, err
	}
	if lease.State != item.LeaseHit {
		l.release(ctx, lease) // a win is not ours to keep (consistency rule 6)
		return nil, false, errMoved
	}
	got, e, err := l.open(full, lease.Item.Value)
	if err != nil {
		return nil, false, err
	}
	if e.hard > 0 && l.ageOf(&e, lease.Item.TTL) >= min(e.soft, e.hard) {
		return nil, false, errMoved // it may differ by now, see take
	}
	cached = lease.Item.Value
	if absent || e.kind == kindAbsent {
		return cached, absent && e.kind == kindAbsent, nil
	}
	same, err = l.sameValue(got, want)
	return cached, same, err
}

func (l *Loader[V]) sameValue(a, b V) (same bool, err error) {
	if equal := l.cfg.Audit.Equal; equal != nil {
		err = isolated(func() error {
			same = equal(a, b)
			return nil
		})
		return same, err
	}
	x, err := l.encodeData(a)
	if err != nil {
		return false, err
	}
	y, err := l.encodeData(b)
	return bytes.Equal(x, y), err
}
