package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/memherd/memherd/client/item"
)

// launcher gets a new flight going. It is called with the shard's mutex held, and
// must see to it that the flight lands.
type launcher[V any] func(s *shard[V], f *flight[V], st start)

func (l *Loader[V]) flyAlone(s *shard[V], f *flight[V], st start) { go l.fly(s, f, st) }

// member is a flight of a LoadMany, and the lease it was won with.
type member[V any] struct {
	s     *shard[V]
	f     *flight[V]
	lease item.Lease
}

// flyMany runs flights that share one call of Config.LoadMany. Each is joined, voided and landed
// by itself, as a flight of its own is.
func (l *Loader[V]) flyMany(ctx context.Context, batch []member[V]) {
	keys := make([]string, len(batch))
	for i := range batch {
		m := &batch[i]
		keys[i] = l.userKey(m.f.key)
		m.lease = *l.latest(m.s, m.f, &m.lease)
	}
	vals, took, asOf, err := l.loadMany(ctx, keys)
	each(len(batch), func(i int) {
		m := &batch[i]
		defer l.wg.Done()
		v, ok := vals[keys[i]]
		verr := error(nil)
		if !ok {
			if verr = absentOr(err, keys[i]); !failed(verr) {
				l.count.notFound.Add(1)
			}
		}
		m.f.cost = took
		res := result[V]{err: errExited, asOf: everyone}
		defer func() { l.land(m.s, m.f, res) }()
		res = l.conclude(m.s, m.f, &m.lease, v, asOf, verr)
	})
}

// manyCalled is what a call of Config.LoadMany came to.
type manyCalled[V any] struct {
	vals map[string]V
	err  error
	took time.Duration
}

// loadMany calls Config.LoadMany once, in its turn.
func (l *Loader[V]) loadMany(ctx context.Context, keys []string) (map[string]V, time.Duration, uint64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.cfg.LoadTimeout, ErrLoadTimeout)
	defer cancel()
	if err := l.admit(ctx, len(keys)); err != nil {
		return nil, 0, everyone, err
	}
	asOf := l.seq.Add(1)
	l.count.manyLoads.Add(1)
	ch := make(chan manyCalled[V], 1)
	l.wg.Add(1)                                // cannot race with Close's Wait: the flights are still counted
	go l.callMany(ctx, slices.Clone(keys), ch) // the user may sort them
	var r manyCalled[V]
	select {
	case r = <-ch:
	case <-ctx.Done():
		l.doors.hangs()
		r.err = ErrLoadTimeout
	}
	if r.err != nil {
		l.count.loadErrors.Add(1)
		r.err = asTimeout(ctx, r.err)
	}
	return r.vals, r.took, asOf, r.err
}

// callMany is call for Config.LoadMany.
func (l *Loader[V]) callMany(ctx context.Context, keys []string, ch chan<- manyCalled[V]) {
	var vals map[string]V
	l.attempt(ctx, func() (err error) {
		vals, err = l.cfg.LoadMany(ctx, keys)
		return failures(err) // ErrNotFound for all: what is not in the result is not there
	}, func(took time.Duration, err error) {
		if h := l.cfg.Hooks.LoadMany; h != nil {
			h(len(keys), took, err)
		}
		ch <- manyCalled[V]{vals, err, took}
	})
}

// asTimeout makes a load's error after its time an ErrLoadTimeout, too.
func asTimeout(ctx context.Context, err error) error {
	if ctx.Err() != nil && err != ErrLoadTimeout && isDeadline(err) {
		return fmt.Errorf("%w: %w", ErrLoadTimeout, err)
	}
	return err
}

// failures is err without the absences that it joins, itself or in what it wraps; nil if there is nothing else.
func failures(err error) error {
	if failed(err) || err == nil {
		return err
	}
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		var errs []error
		for _, inner := range e.Unwrap() {
			errs = append(errs, failures(inner))
		}
		return errors.Join(errs...)
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); errors.Is(inner, ErrNotFound) {
			return failures(inner)
		}
	}
	return nil
}
