package loader

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// KeyErrors is what PutMulti returns: the error of each key whose write failed. Its text
// names none of them.
type KeyErrors map[string]error

func (e KeyErrors) Error() string {
	for _, key := range slices.Sorted(maps.Keys(e)) {
		return fmt.Sprintf("memherd: the writes of %d keys failed; of one: %v", len(e), e[key])
	}
	return "memherd: the writes of 0 keys failed"
}

// Unwrap makes errors.Is and errors.As look at the errors of all keys.
func (e KeyErrors) Unwrap() []error { return slices.Collect(maps.Values(e)) }

// PutMulti is Put for each key and value, by the loader's policy, and shares the work:
// with WriteAround the deletes go out together, with WriteBack all are in one commit of the
// journal, if there is room for all (Back.MaxPending). Up to 64 keys are worked on at once, so Store is called that often at once. It is
// not atomic: some keys may be written and others not; the error is a KeyErrors then.
// All keys are checked before the first is written.
func (l *Loader[V]) PutMulti(ctx context.Context, values map[string]V) error {
	return l.PutMultiWith(ctx, values, WriteOptions{Policy: l.cfg.Write})
}

// PutMultiWith is PutMulti by the policy that o says.
func (l *Loader[V]) PutMultiWith(ctx context.Context, values map[string]V, o WriteOptions) error {
	keys := slices.Sorted(maps.Keys(values)) // in one order, whatever the map says
	full := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if full[i], err = l.fullKey(key); err != nil {
			return fmt.Errorf("one of %d keys: %w", len(keys), err)
		}
	}
	if err := l.beginWrite(ctx, o); err != nil {
		return err
	}
	defer l.wg.Done()
	l.count.puts.Add(uint64(len(keys)))
	errs := make([]error, len(keys))
	switch o.Policy {
	case WriteBack:
		l.putBackMany(ctx, keys, full, values, errs)
	case WriteThrough:
		each(len(keys), func(i int) {
			errs[i] = errExited
			errs[i] = l.put(ctx, keys[i], full[i], values[keys[i]], WriteThrough)
		})
	default:
		l.putAroundMany(ctx, keys, full, values, errs)
	}
	failed := KeyErrors{}
	for i, err := range errs {
		if err != nil {
			failed[keys[i]] = err
		}
	}
	l.count.putErrors.Add(uint64(len(failed)))
	if len(failed) == 0 {
		return nil
	}
	return failed
}

// each calls fn for 0 to n-1, 64 at a time, and waits.
func each(n int, fn func(i int)) {
	if n == 1 {
		fn(0)
		return
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	var thrown atomic.Pointer[any]
	for i := range n {
		g.Go(func() error {
			defer func() {
				if p := recover(); p != nil {
					thrown.CompareAndSwap(nil, &p)
				}
			}()
			fn(i)
			return nil
		})
	}
	_ = g.Wait()
	if p := thrown.Load(); p != nil {
		panic(*p) // as it would without goroutines
	}
}

// putAroundMany writes all to the origin, then deletes those that are there. One whose
// write failed has been deleted by then.
func (l *Loader[V]) putAroundMany(ctx context.Context, keys, full []string, values map[string]V, errs []error) {
	defer l.invalidateWritten(ctx, full, errs) // even if one of the writes panics: the others are there
	each(len(keys), func(i int) {
		err := l.afterBack(ctx, full[i])
		errs[i] = errExited // for if it does
		if err == nil {
			err = l.writeOrigin(ctx, full[i], func() error { return l.cfg.Store(ctx, keys[i], values[keys[i]]) })
		}
		errs[i] = err
	})
}

// invalidateWritten is invalidate for those of full that have no error; errs gets what it returns.
func (l *Loader[V]) invalidateWritten(ctx context.Context, full []string, errs []error) {
	var written []string
	var at []int
	for i, err := range errs {
		if err == nil {
			written, at = append(written, full[i]), append(at, i)
		}
	}
	for done := 0; done < len(written); done += invalidateBatch {
		part := written[done:min(done+invalidateBatch, len(written))]
		perrs := make([]error, len(part))
		l.invalidateMany(ctx, part, perrs)
		for i, err := range perrs {
			errs[at[done+i]] = err
		}
	}
}

// putBackMany journals all, as many at a time as the backlog has room for at the most.
func (l *Loader[V]) putBackMany(ctx context.Context, keys, full []string, values map[string]V, errs []error) {
	var recs []Record
	var at []int
	var bytes int64
	for i, key := range keys {
		data, err := l.encodeData(values[key])
		if err != nil {
			errs[i] = err
			continue
		}
		rec := Record{Key: full[i], Value: data}
		if len(recs) == min(l.cfg.Back.MaxPending, invalidateBatch) || len(recs) > 0 && bytes+cost(rec) > l.back.most {
			l.journalSome(ctx, recs, at, errs)
			recs, at, bytes = nil, nil, 0
		}
		recs, at = append(recs, rec), append(at, i)
		bytes += cost(rec)
	}
	l.journalSome(ctx, recs, at, errs)
}

// journalSome journals recs together if there is room for all of them, and in parts if not: as long as one write that the origin does not take
// has some of the room, there may never be enough for all, and who waits for that lets nobody else in.
func (l *Loader[V]) journalSome(ctx context.Context, recs []Record, at []int, errs []error) {
	n, bytes := len(recs), int64(0)
	for _, r := range recs {
		bytes += cost(r)
	}
	var err error
	switch {
	case n == 0:
		return
	case n == 1:
		err = l.journal(ctx, recs)
	case l.back.tryRoom(int64(n), bytes):
		err = l.journalIn(ctx, recs, bytes)
	default:
		l.journalSome(ctx, recs[:n/2], at[:n/2], errs)
		l.journalSome(ctx, recs[n/2:], at[n/2:], errs)
		return
	}
	for _, i := range at {
		errs[i] = err
	}
}
