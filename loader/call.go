package loader

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// called is what one call of Config.Load came to.
type called[V any] struct {
	val  V
	err  error
	took time.Duration
}

func isDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

func failed(err error) bool { return err != nil && !errors.Is(err, ErrNotFound) }

// load calls Config.Load once, in its turn, and once more if the first call hangs
// (Origin.SecondAfter). It returns the stamp made just before the first.
func (l *Loader[V]) load(f *flight[V]) (v V, asOf uint64, err error) { return l.loadIn(f.ctx, f) }

// loadIn is load with another context than f's.
func (l *Loader[V]) loadIn(ctx context.Context, f *flight[V]) (v V, asOf uint64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.cfg.LoadTimeout, ErrLoadTimeout)
	defer cancel()
	if err := l.admit(ctx, 1); err != nil {
		return v, everyone, err
	}
	asOf = l.seq.Add(1)
	v, f.cost, err = l.race(ctx, l.userKey(f.key))
	switch {
	case err == nil:
		l.pace.learn(f.cost)
	case errors.Is(err, ErrNotFound):
		l.count.notFound.Add(1)
	default:
		l.count.loadErrors.Add(1)
		err = asTimeout(ctx, err)
	}
	return v, asOf, err
}

// race waits for the call of Load, and for a second one if the first takes too long.
// The caller has a slot for the first.
func (l *Loader[V]) race(ctx context.Context, key string) (v V, took time.Duration, err error) {
	// Load has a goroutine of its own, so that one that ignores its context keeps its
	// slot but not its waiters, and Goexit ends nothing but itself.
	ch := make(chan called[V], 2)
	start := func() {
		l.count.loads.Add(1)
		l.wg.Add(1) // cannot race with Close's Wait: the flight is still counted
		go l.call(ctx, key, ch)
	}
	start()
	running := 1
	var second <-chan time.Time
	if d := l.cfg.Origin.SecondAfter; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		second = t.C
	}
	for {
		select {
		case r := <-ch:
			running--
			if failed(r.err) && running > 0 {
				continue // the other may fare better
			}
			return r.val, r.took, r.err
		case <-second:
			if l.admitSecond() {
				l.count.seconds.Add(1)
				start()
				running++
			}
		case <-ctx.Done():
			l.doors.hangs()
			return v, 0, ErrLoadTimeout
		}
	}
}

// call runs Config.Load and sends what it returned, panicked with, or that it exited.
func (l *Loader[V]) call(ctx context.Context, key string, ch chan<- called[V]) {
	var v V
	l.attempt(ctx, func() (err error) {
		v, err = l.cfg.Load(ctx, key)
		return err
	}, func(took time.Duration, err error) {
		if h := l.cfg.Hooks.Load; h != nil {
			h(key, took, err)
		}
		ch <- called[V]{v, err, took}
	})
}

// attempt makes one call to the origin, which has a slot, and ends it: ended gets what the call
// returned or panicked with, or that it exited, which it does even then.
func (l *Loader[V]) attempt(ctx context.Context, call func() error, ended func(took time.Duration, err error)) {
	began, err, returned := time.Now(), ErrLoadExited, false
	defer func() {
		if !returned {
			if p := recover(); p != nil { // nil: Goexit
				err = &PanicError{Value: p, Stack: debug.Stack()}
			}
		}
		took := time.Since(began)
		if errors.Is(err, context.Canceled) && ctx.Err() == context.Canceled {
			l.doors.skip() // ended because the other one was faster: no sign of anything
		} else {
			l.doors.leave(took, failed(err))
		}
		ended(took, err)
		l.wg.Done()
	}()
	err = call()
	returned = true
}
