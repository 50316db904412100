package loader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client/item"
)

// Refresh loads key anew, whatever the cache holds, stores what came back and returns
// it. A write of this process that is pending by WriteBack is returned as it is, without a
// load. It joins no load that is under way, and none joins it: the value was read from the
// origin after Refresh was called. A load that was begun goes on, and is stored, if ctx ends. If
// the key is written or deleted meanwhile the value is returned and not stored. When the
// load fails the cached value stays; ErrNotFound is stored, as by Get.
//
// A near-cache may serve the value from before to this process's Gets until its
// bound has passed.
func (l *Loader[V]) Refresh(ctx context.Context, key string) (V, error) {
	var none V
	full, err := l.fullKey(key)
	if err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := l.begin(); err != nil {
		return none, err
	}
	if v, ok, err := l.readBack(full); ok {
		l.wg.Done()
		return v, err
	}
	f := &flight[V]{key: full, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	go func() {
		defer l.wg.Done()
		defer close(f.done)
		f.res.err = errExited // for if the codec does
		f.res.val, f.res.err = l.reload(f)
	}()
	select {
	case <-f.done:
		return f.res.val, f.res.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// reload loads under tokens taken whatever the copies hold.
func (l *Loader[V]) reload(f *flight[V]) (v V, err error) {
	var (
		o      = item.LeaseOptions{TTL: l.cfg.LeaseTTL, NoNear: true, Refresh: time.Second, Force: true}
		began  = time.Now()
		giveUp = time.Now().Add(2*l.cfg.LeaseTTL + l.cfg.LoadTimeout)
	)
	for tries := 0; ; {
		lease, err := l.lease(f, o)
		switch {
		case err != nil:
			return l.loadBare(f, err)
		case lease.State == item.LeaseWon || lease.State == item.LeaseRefresh:
			v, err, again := l.reloadUnder(f, lease)
			if !again || l.closed.Load() || time.Now().After(giveUp) {
				return v, err
			}
		case lease.State == item.LeaseWait && time.Now().Before(giveUp):
			// Another caller loads what is missing, maybe since before we were called.
			t := time.NewTimer(l.pace.pause(time.Since(began)))
			select {
			case <-t.C:
			case <-l.closing:
				t.Stop()
				return v, ErrClosed
			}
			l.count.polls.Add(1)
		case lease.State == item.LeaseHit && tries < lateTries:
			tries++ // this cache gives no right to refresh
			l.discard(f)
		case lease.State == item.LeaseNone:
			return l.loadBare(f, errNoLease)
		default:
			return l.loadBare(f, errWaitedOut)
		}
	}
}

// reloadUnder loads and fills under lease. again means that a Strong loader must not
// return the value, see unproven, and has to load once more; err is for those who can't.
func (l *Loader[V]) reloadUnder(f *flight[V], lease item.Lease) (v V, err error, again bool) {
	v, _, err = l.load(f)
	absent := errors.Is(err, ErrNotFound)
	switch {
	case err != nil && !absent:
		l.release(f.ctx, lease)
	case absent && l.cfg.NegativeTTL < 0:
		l.forget(f, lease)
	case l.fill(f, &lease, v, absent):
	case f.unfilled != nil && l.cfg.Consistency != Strong:
		l.discard(f) // what is cached is older than what we return
	case l.cfg.Consistency == Strong:
		cause, again := f.unfilled, f.unfilled == nil
		if again {
			cause = item.ErrLeaseLost
		}
		var none V
		return none, fmt.Errorf("%w: %w", ErrCacheDown, cause), again
	}
	return v, err, false
}

// Peek returns the value of key if it is cached: it never loads, takes no lease and makes
// nobody else load. It returns item.ErrCacheMiss when there is no value, or one past
// its TTL, ErrNotFound for a remembered absence, a write of this process that is pending by
// WriteBack if there is one, ErrNoReader if the cache is not a
// Reader, and the cache's error if it fails. Counters do not count it. With Consistency Strong it
// asks the key's owner and no other copy, nor the near-cache, and fails while the owner is down.
func (l *Loader[V]) Peek(ctx context.Context, key string) (V, error) {
	var none V
	full, err := l.fullKey(key)
	if err != nil {
		return none, err
	}
	if l.closed.Load() {
		return none, ErrClosed
	}
	if v, ok, err := l.peekBack(full); ok {
		return v, err
	}
	r, ok := l.cache.(Reader)
	if !ok {
		return none, ErrNoReader
	}
	read := r.Get
	if t, ok := r.(TTLReader); ok {
		read = t.GetTTL
	}
	it, err := read(ctx, full)
	if err != nil {
		return none, err
	}
	v, e, err := l.open(full, it.Value)
	switch {
	case err != nil || l.ageOf(&e, it.TTL) >= e.hard && e.hard > 0:
		return none, item.ErrCacheMiss
	case e.kind == kindAbsent:
		return none, ErrNotFound
	}
	return v, nil
}
