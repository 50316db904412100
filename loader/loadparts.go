package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// manyFunc is the type of Config.LoadMany.
type manyFunc[V any] func(ctx context.Context, keys []string) (map[string]V, error)

// partly is the error of a LoadMany some of whose keys went another way than the rest.
type partly struct {
	keys map[string]error // of keys that are not in the result
	rest error            // of all others that are not; nil: they are not there
}

func (e *partly) Error() string {
	if e.rest != nil {
		return fmt.Sprintf("memherd: a load of many keys failed: %v", e.rest)
	}
	return fmt.Sprintf("memherd: %d keys of a load of many failed", len(e.keys))
}

// Unwrap leaves out absences, which are no failures.
func (e *partly) Unwrap() (errs []error) {
	if e.rest != nil {
		errs = append(errs, e.rest)
	}
	for _, err := range e.keys {
		if failed(err) {
			errs = append(errs, err)
		}
	}
	return errs
}

// partlyOf joins the errors of keys and that of all others that are not in the result.
func partlyOf(keys map[string]error, rest error) error {
	if rest = failures(rest); rest == nil {
		for key, err := range keys {
			if !failed(err) {
				delete(keys, key) // not to be in the result says it, too
			}
		}
	}
	if len(keys) == 0 {
		return rest
	}
	return &partly{keys, rest}
}

// absentOr is the error of a key that is not in the result of a LoadMany that returned err.
func absentOr(err error, key string) error {
	for p := (*partly)(nil); errors.As(err, &p); err = p.rest {
		if kerr, ok := p.keys[key]; ok {
			return kerr
		}
	}
	if err == nil {
		return ErrNotFound
	}
	return err
}

// loadSome loads keys by many, or by one if there is but one: many is for two at least.
func loadSome[V any](ctx context.Context, keys []string, one func(context.Context, string) (V, error), many manyFunc[V]) (map[string]V, error) {
	switch len(keys) {
	case 0:
		return nil, nil
	case 1:
		v, err := one(ctx, keys[0])
		if err != nil {
			return nil, err
		}
		return map[string]V{keys[0]: v}, nil
	}
	return many(ctx, keys)
}

// loadManyBack wraps Config.LoadMany as loadBack does Config.Load, which one is without that.
func (l *Loader[V]) loadManyBack(one func(context.Context, string) (V, error), many manyFunc[V]) manyFunc[V] {
	if many == nil {
		return nil
	}
	return func(ctx context.Context, keys []string) (map[string]V, error) {
		vals, errs := make(map[string]V, len(keys)), map[string]error{}
		pending := func(key string) bool {
			v, ok, err := l.peekBack(l.cfg.Prefix + key)
			switch {
			case !ok:
				return false
			case err != nil:
				delete(vals, key)
				errs[key] = err
			default:
				vals[key] = v
			}
			return true
		}
		var rest []string
		for _, key := range keys {
			if !pending(key) {
				rest = append(rest, key)
			}
		}
		got, err := loadSome(ctx, rest, one, many)
		for _, key := range rest {
			if v, ok := got[key]; ok {
				vals[key] = v
			}
			pending(key)
		}
		return vals, partlyOf(errs, err)
	}
}

// loadManyMarked wraps Config.LoadMany: keys with a marker are read from the master, one by
// one. The markers are looked at here, and so after the moment that the result counts
// from (result.asOf).
func (l *Loader[V]) loadManyMarked(one, master func(context.Context, string) (V, error), many manyFunc[V]) manyFunc[V] {
	if many == nil {
		return nil
	}
	return func(ctx context.Context, keys []string) (map[string]V, error) {
		isMarked := make([]bool, len(keys))
		each(len(keys), func(i int) { isMarked[i] = l.marked(ctx, keys[i]) })
		var marked, rest []string
		for i, key := range keys {
			if isMarked[i] {
				marked = append(marked, key)
			} else {
				rest = append(rest, key)
			}
		}
		if len(marked) == 0 {
			return many(ctx, keys)
		}
		got, err := loadSome(ctx, rest, one, many)
		vals, errs := l.loadSingly(ctx, marked, master)
		for _, key := range rest {
			if v, ok := got[key]; ok {
				vals[key] = v
			}
		}
		return vals, partlyOf(errs, err)
	}
}

// loadSingly calls load for each key, in the slot of its caller, and in others while there
// are spare ones.
func (l *Loader[V]) loadSingly(ctx context.Context, keys []string, load func(context.Context, string) (V, error)) (map[string]V, map[string]error) {
	var mu sync.Mutex // guards the maps
	vals, errs := make(map[string]V, len(keys)), map[string]error{}
	note := func(key string, v V, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs[key] = err
			return
		}
		vals[key] = v
	}
	call := func(key string) error {
		var v V
		err := isolated(func() (err error) {
			v, err = load(ctx, key)
			return err
		})
		if errors.Is(err, errExited) {
			err = ErrLoadExited
		}
		note(key, v, err)
		return err
	}
	var wg sync.WaitGroup
	for i, key := range keys {
		if err := ctx.Err(); err != nil { // of these nobody takes a value any more
			var none V
			note(key, none, err)
			continue
		}
		if i < len(keys)-1 && l.admitSpare() {
			wg.Go(func() {
				began := time.Now()
				err := call(key)
				l.doors.leave(time.Since(began), failed(err))
			})
			continue
		}
		if r := l.doors.rate; r != nil && i > 0 {
			if err := r.Wait(ctx); err != nil {
				var none V
				note(key, none, ErrOriginBusy)
				continue
			}
		}
		_ = call(key)
	}
	wg.Wait()
	return vals, errs
}
