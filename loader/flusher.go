package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// flusher brings the backlog to the origin.
type flusher[V any] struct {
	*backlog
	reads   atomic.Uint64
	ctx     context.Context // ends when Close stops waiting
	cancel  context.CancelFunc
	workers sync.WaitGroup
	once    sync.Once // stopBack
	stopErr error
}

// startBack reads the journal and starts the workers.
func (l *Loader[V]) startBack() error {
	cfg := &l.cfg.Back
	if cfg.Journal == nil {
		return nil
	}
	var replay []Record
	err := cfg.Journal.Replay(func(r Record) error {
		if len(r.Key) <= len(l.cfg.Prefix) || !strings.HasPrefix(r.Key, l.cfg.Prefix) {
			return fmt.Errorf("it holds a write of another loader: its key does not begin with Config.Prefix %q", l.cfg.Prefix)
		}
		replay = append(replay, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("memherd: loader.Config.Back.Journal: %w", err)
	}
	f := &flusher[V]{backlog: newBacklog(cfg.MaxPending, cfg.MaxPendingBytes, replay, l.tooOld)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	l.back = f
	l.cfg.LoadMany = l.loadManyBack(l.cfg.Load, l.cfg.LoadMany)
	l.cfg.Load = l.loadBack(l.cfg.Load)
	for range cfg.Workers {
		f.workers.Go(l.flushWorker)
	}
	return nil
}

// stopBack drains the backlog, see Config.Back.DrainTimeout, and joins the workers.
func (l *Loader[V]) stopBack() error {
	f := l.back
	if f == nil {
		return nil
	}
	f.once.Do(func() {
		if d := l.cfg.Back.DrainTimeout; d > 0 {
			f.hurry()
			ctx, cancel := context.WithTimeout(context.Background(), d)
			_ = f.flush(ctx) // what is left is counted below
			cancel()
		}
		f.stop()
		f.cancel()
		f.workers.Wait()
		if n := f.unfinished(); n > 0 {
			f.stopErr = fmt.Errorf("%w: of %d keys", ErrPending, n)
		}
	})
	return f.stopErr
}

// Flush waits until every write that WriteBack has accepted before it, or a newer one of
// the same key, has reached the origin or has been given up (ErrSuperseded, DeadLetter).
// Writes that pause after a failure are tried at once. It returns ErrPending, with the
// number of writes left and ctx's error, if ctx ends first, and nil without write-back.
func (l *Loader[V]) Flush(ctx context.Context) error {
	if l.back == nil {
		return nil
	}
	l.back.hurry()
	return l.back.flush(ctx)
}

func (l *Loader[V]) flushWorker() {
	most := 1
	if l.cfg.Back.StoreMany != nil {
		most = l.cfg.Back.MaxBatch
	}
	linger := max(l.cfg.Back.Linger, 0)
	for {
		jobs := l.back.take(most, linger)
		if jobs == nil {
			return
		}
		took := l.flushJobs(jobs)
		if l.cfg.Back.Linger == 0 {
			linger = min(took, mostLinger)
		}
	}
}

// flushJobs brings writes of different keys to the origin and settles each. It returns how long
// StoreMany took.
func (l *Loader[V]) flushJobs(jobs []job) (took time.Duration) {
	puts, writes := make([]job, 0, len(jobs)), make([]Write[V], 0, len(jobs))
	for _, j := range jobs {
		rec := j.p.rec
		switch v, err := l.readJob(j); {
		case j.p.stored:
			l.settleAll([]settlement{{j, false}})
		case err != nil:
			l.bury(j, v, err, true)
		case rec.Deleted:
			l.concludeBack(j, v, l.origin(rec.Version, func(ctx context.Context) error { return l.cfg.Remove(ctx, l.userKey(rec.Key)) }))
		default:
			puts = append(puts, j)
			writes = append(writes, Write[V]{Key: l.userKey(rec.Key), Value: v, Version: rec.Version})
		}
	}
	if len(puts) > 1 { // only with StoreMany
		begun := time.Now()
		err := l.origin(Version{}, func(ctx context.Context) error { return l.cfg.Back.StoreMany(ctx, slices.Clone(writes)) }) // it may sort them
		took = time.Since(begun)
		if err == nil {
			l.back.tally(func(c *BackCounters) { c.Flushed += uint64(len(puts)) })
			done := make([]settlement, len(puts))
			for i, j := range puts {
				done[i] = settlement{j, true}
			}
			l.settleAll(done)
			return took
		}
	}
	for i, j := range puts {
		w := writes[i]
		l.concludeBack(j, w.Value, l.origin(w.Version, func(ctx context.Context) error { return l.cfg.Store(ctx, w.Key, w.Value) }))
	}
	return took
}

// readJob returns the value to be stored, or why it must not be.
func (l *Loader[V]) readJob(j job) (v V, err error) {
	rec := j.p.rec
	switch {
	case rec.Deleted && l.cfg.Remove == nil:
		return v, fmt.Errorf("%w: a delete, and Config.Remove is nil", ErrUnreadable)
	case !rec.Deleted:
		if v, err = l.decodeData(rec); err != nil {
			return v, err
		}
	}
	if j.p.old || j.p.replayed && l.tooOld(rec) {
		return v, ErrTooOld
	}
	return v, nil
}

// tooOld reports whether a write that an earlier process left is not to reach the origin any more.
func (l *Loader[V]) tooOld(rec Record) bool {
	age := l.cfg.Back.MaxReplayAge
	return age > 0 && time.Since(rec.Version.Time) > age
}

// origin makes one call of the user's on a goroutine of its own, so that one that panics
// or exits ends nothing but itself. It waits for it even if it ignores its context: the
// next write of the key must not overtake it.
func (l *Loader[V]) origin(v Version, call func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(l.back.ctx, l.cfg.Back.FlushTimeout)
	defer cancel()
	if v != (Version{}) {
		ctx = context.WithValue(ctx, versionKey{}, v)
	}
	err = isolated(func() error { return call(ctx) })
	if err != nil && !errors.Is(err, ErrSuperseded) {
		l.back.tally(func(c *BackCounters) { c.Failures++ })
	}
	return err
}

// isolated calls fn on a goroutine of its own and waits for it.
func isolated(fn func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				err = errExited
				if p := recover(); p != nil {
					err = &PanicError{p, debug.Stack(), "a function of the loader's Config"}
				}
			}
		}()
		err = fn()
		returned = true
	}()
	<-done
	return err
}

// concludeBack acts on what the origin said.
func (l *Loader[V]) concludeBack(j job, v V, err error) {
	switch {
	case err == nil:
		l.back.tally(func(c *BackCounters) { c.Flushed++ })
		l.settleAll([]settlement{{j, true}})
	case errors.Is(err, ErrSuperseded):
		l.back.tally(func(c *BackCounters) { c.Refused++ })
		j.p.dropped = true
		l.settleAll([]settlement{{j, false}})
	case l.back.ctx.Err() != nil:
		l.back.giveUp(j, 0) // closing: it stays in the journal
	default:
		if j.p.tries++; j.p.tries%l.cfg.Back.MaxAttempts == 0 {
			l.bury(j, v, err, false)
			return
		}
		l.back.giveUp(j, l.backoff(j.p.tries%l.cfg.Back.MaxAttempts))
	}
}

// backoff is the pause after the n-th failure in a row.
func (l *Loader[V]) backoff(n int) time.Duration {
	d := l.cfg.Back.MaxBackoff
	if n <= 40 {
		d = min(d, l.cfg.Back.MinBackoff<<(n-1))
	}
	if d <= 0 { // shifted out
		d = l.cfg.Back.MaxBackoff
	}
	return d/2 + rand.N(d/2+1)
}

// bury asks DeadLetter what to do with a write; final says that this process can do nothing more for it. A newer one of the key makes
// the question moot.
func (l *Loader[V]) bury(j job, v V, err error, final bool) {
	rec := j.p.rec
	if !l.back.isNewest(j) {
		l.back.giveUp(j, 0)
		return
	}
	verdict := KeepWrite
	if dead := l.cfg.Back.DeadLetter; dead != nil {
		// One that panics has kept it.
		if isolated(func() error {
			verdict = dead(DeadWrite[V]{
				Key: l.userKey(rec.Key), Value: v, Data: bytes.Clone(rec.Value), Deleted: rec.Deleted,
				Version: rec.Version, Attempts: j.p.tries, Err: err,
			})
			return nil
		}) != nil {
			verdict = KeepWrite
		}
	}
	l.back.tally(func(c *BackCounters) {
		c.Dead++
		switch {
		case verdict == DropWrite:
			c.Dropped++
		case final:
			c.Parked++
		}
	})
	switch {
	case verdict == DropWrite:
		j.p.dropped = true
		l.settleAll([]settlement{{j, false}})
	case final:
		// It is left in the journal and to the next start. What this process may have put into the cache for it goes.
		l.back.setAside(j)
		l.settleAll([]settlement{{j, false}})
	default:
		l.back.giveUp(j, l.cfg.Back.MaxBackoff)
	}
}

// unpark has the journal forget what is parked of a key: the origin has a later write of it by another policy, which the next start
// must not undo. (One by WriteBack takes its place in the journal.)
func (l *Loader[V]) unpark(full string) error {
	if l.back == nil {
		return nil
	}
	rec, ok := l.back.unpark(full)
	if !ok {
		return nil
	}
	l.cfg.Back.Journal.Forget(rec)
	return l.settleJournal(full)
}
