package loader

import (
	"context"
	"fmt"

	"github.com/memherd/memherd/client/item"
)

// MultiError is what GetMulti returns when some keys failed. Its text names neither them nor
// their errors, which may.
type MultiError struct {
	// Errs has the error of each key that failed, without Prefix.
	Errs  map[string]error
	asked int
}

func (e *MultiError) Error() string {
	return fmt.Sprintf("memherd: %d of %d keys failed", len(e.Errs), e.asked)
}

// Unwrap returns the errors of the keys, for errors.Is and errors.As.
func (e *MultiError) Unwrap() []error {
	errs := make([]error, 0, len(e.Errs))
	for _, err := range e.Errs {
		errs = append(errs, err)
	}
	return errs
}

// wanted is one key of a GetMulti that had to wait for a flight.
type wanted[V any] struct {
	key, full string
	f         *flight[V]
	joined    uint64
}

// GetMulti returns the values of keys. A key that the origin does not have is not in the result,
// and is no error. What Get promises holds for each key; a key that is given twice is
// asked for once.
//
// The cache is asked for all keys at once, one round trip a node, if it is a MultiLeaser,
// as *client.Client is. What is missing and won by this call is loaded by one call of Config.LoadMany,
// or without one by parallel calls of Config.Load. Keys that others load, here or in another
// process, are waited for. A value past its TTL that is still cached, and one that is due for a refresh, are
// loaded by Config.Load.
//
// If keys failed, the error is a *MultiError, and the result has the others. A key that is not
// allowed, a closed loader and the end of ctx are errors of the whole call; in the last case the result
// has what was there by then.
func (l *Loader[V]) GetMulti(ctx context.Context, keys []string) (map[string]V, error) {
	full := make(map[string]string, len(keys)) // by key as given
	for i, k := range keys {
		f, err := l.fullKey(k)
		if err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, len(keys), err)
		}
		full[k] = f
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.closed.Load() {
		return nil, ErrClosed
	}
	found := make(map[string]V, len(full))
	errs := map[string]error{}
	take := func(key string, v V, err error) {
		switch {
		case err == nil:
			found[key] = v
		case failed(err):
			errs[key] = err
		}
	}
	waits, err := l.seekMulti(ctx, full, take)
	if err != nil {
		return found, err
	}
	for i, w := range waits {
		v, err, again := l.await(ctx, l.table.shard(w.full), w.f, w.joined)
		if again {
			v, err = l.get(ctx, w.full, false)
		}
		if ctx.Err() != nil && err != nil {
			for _, w := range waits[i+1:] {
				select {
				case <-w.f.done:
					if r := &w.f.res; r.asOf > w.joined {
						take(w.key, r.val, r.err)
					}
				default:
				}
				l.table.shard(w.full).leave(w.f)
			}
			return found, ctx.Err()
		}
		take(w.key, v, err)
	}
	if len(errs) > 0 {
		return found, &MultiError{Errs: errs, asked: len(full)}
	}
	return found, nil
}

// seekMulti takes what the cache has, and joins or starts flights for the rest.
func (l *Loader[V]) seekMulti(ctx context.Context, full map[string]string, take func(key string, v V, err error)) (waits []wanted[V], err error) {
	var keys, asks []string // as given, in full
	for key, f := range full {
		if v, ok, verr := l.readBack(f); ok {
			take(key, v, verr)
			continue
		}
		if k := l.readNear(ctx, key); k != nil {
			v, verr := k.answer()
			take(key, v, verr)
			continue
		}
		if fl, joined := l.join(l.table.shard(f), f); fl != nil {
			l.count.misses.Add(1)
			l.count.waits.Add(1)
			waits = append(waits, wanted[V]{key, f, fl, joined})
			continue
		}
		keys, asks = append(keys, key), append(asks, f)
	}
	leases, errs := l.leaseMulti(ctx, asks)
	var batch []member[V] // of one LoadMany
	defer func() {        // even if the codec exits below: others may have joined them
		switch {
		case len(batch) == 1: // others may have gone to flights that waited
			go l.fly(batch[0].s, batch[0].f, start{lease: batch[0].lease})
		case len(batch) > 1:
			go l.flyMany(context.WithoutCancel(ctx), batch)
		}
	}()
	many := l.cfg.LoadMany != nil && wins(leases, errs) > 1
	for i, f := range asks {
		if err == nil && errs[i] != nil {
			err = ctx.Err()
		}
		st := start{lease: leases[i], err: errs[i]}
		if v, verr, ok := l.take(ctx, f, &st, true); ok { // it is there, whatever became of ctx
			take(keys[i], v, verr)
			continue
		}
		if err != nil {
			if st.won() {
				l.release(ctx, st.lease)
			}
			continue
		}
		var launch launcher[V] = l.flyAlone
		if many && st.won() {
			launch = func(s *shard[V], fl *flight[V], st start) { batch = append(batch, member[V]{s, fl, st.lease}) }
		}
		s := l.table.shard(f)
		fl, joined, fresh, eerr := l.enter(ctx, s, f, &st, launch)
		if eerr != nil {
			if err = eerr; st.won() {
				l.release(ctx, st.lease)
			}
			continue
		}
		l.count.misses.Add(1)
		if !fresh {
			l.count.waits.Add(1)
		}
		waits = append(waits, wanted[V]{keys[i], f, fl, joined})
	}
	if err != nil {
		for _, w := range waits {
			l.table.shard(w.full).leave(w.f)
		}
		return nil, err
	}
	return waits, nil
}

func wins(leases []item.Lease, errs []error) (n int) {
	for i := range leases {
		if errs[i] == nil && leases[i].State == item.LeaseWon {
			n++
		}
	}
	return n
}

// leaseMulti leases keys at once, or in parallel if the cache takes one at a time.
func (l *Loader[V]) leaseMulti(ctx context.Context, keys []string) ([]item.Lease, []error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return leaseEach(ctx, l.cache, keys, item.LeaseOptions{TTL: l.cfg.LeaseTTL})
}

func leaseEach(ctx context.Context, c Cache, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	if m, ok := c.(MultiLeaser); ok {
		return m.LeaseMulti(ctx, keys, o)
	}
	leases, errs := make([]item.Lease, len(keys)), make([]error, len(keys))
	each(len(keys), func(i int) { leases[i], errs[i] = c.Lease(ctx, keys[i], o) })
	return leases, errs
}
