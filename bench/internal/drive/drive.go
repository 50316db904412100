// Package drive runs operations from many workers, as fast as they go (closed loop)
// or at a given rate (open loop), and measures each.
//
// In a closed loop a stalled server is asked less, so that its stall hardly shows
// (coordinated omission). The open loop therefore has a timetable: operation n is
// due at start + n/rate whatever happened before, and its latency counts from when
// it was due.
package drive

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/pace"
	"github.com/memherd/memherd/bench/internal/workload"
)

// Config says how to run. Workers is required; a run ends when Duration has passed,
// when Ops operations were begun or when its context is done, whatever comes first.
type Config struct {
	// Workers is how many operations may be under way at a time.
	Workers int
	// Duration of the run; 0 is no limit.
	Duration time.Duration
	// Ops is how many operations to run; 0 is no limit.
	Ops int64
	// Rate is operations per second over all workers; 0 is a closed loop.
	Rate float64
	// Due, if not nil, says when operation n is due, since the start and never before n-1: an open loop
	// with a timetable of its own, in the place of Rate.
	Due func(n int64) time.Duration
	// MaxRate is how many operations may begin in a second over all workers, evenly, whatever Rate and Due say;
	// 0 is any number. An operation that waits for its turn counts from when it was due in an open loop, and from its
	// turn in a closed one.
	MaxRate float64
	// Seed of the workers' random numbers. Each run should have its own.
	Seed uint64
	// Watch, if not nil, is called every 100 ms and once at the end with the
	// operations done so far and the time since the start.
	Watch func(ops int64, elapsed time.Duration)
}

// Worker is what an operation may use: everything in it is its own.
type Worker struct {
	ID   int
	Rand *rand.Rand
}

// Do is one operation, number n of the run. It says what it was; its errors are
// its own to count.
type Do func(ctx context.Context, w *Worker, n int64) measure.Kind

// Result is what a run measured.
type Result struct {
	*measure.Merged
	Elapsed time.Duration
	Start   time.Time
}

// Run runs operations and returns when the last has ended. It starts a goroutine a
// worker and one for Watch, and waits for all of them.
func Run(ctx context.Context, cfg Config, do Do) (Result, error) {
	switch {
	case cfg.Workers < 1:
		return Result{}, errors.New("a run needs at least one worker: give -concurrency a positive number")
	case cfg.Rate < 0 || cfg.MaxRate < 0:
		return Result{}, errors.New("the rate must not be negative")
	case cfg.Rate > 0 && cfg.Due != nil:
		return Result{}, errors.New("a run has a rate or a timetable, not both")
	case cfg.Duration <= 0 && cfg.Ops <= 0:
		return Result{}, errors.New("a run needs an end: a duration or a number of operations")
	}
	// Histograms are megabytes: they are made before the clock starts.
	recs := make([]*measure.Recorder, cfg.Workers)
	for i := range recs {
		recs[i] = measure.NewRecorder()
	}
	start, line := time.Now(), &measure.Timeline{}
	t := &timetable{start: start, limit: cfg.Ops, due: cfg.Due}
	if cfg.MaxRate > 0 {
		t.pace = pace.New(start, 0, pace.Gap(cfg.MaxRate))
	}
	if cfg.Duration > 0 {
		t.stop = start.Add(cfg.Duration)
	}
	if cfg.Rate > 0 {
		t.gap = min(float64(time.Second)/cfg.Rate, 1<<59)
	}
	var workers sync.WaitGroup
	for i, rec := range recs {
		rec.Begin(start)
		rec.On(line)
		w := &Worker{ID: i, Rand: workload.Rand(cfg.Seed, i)}
		workers.Go(func() { t.work(ctx, w, rec, do) })
	}
	watched := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(watched)
		watch(cfg.Watch, recs, start, done)
	}()
	workers.Wait()
	elapsed := time.Since(start)
	close(done)
	<-watched
	return Result{Merged: measure.Merge(recs...), Elapsed: elapsed, Start: start}, nil
}

func watch(f func(int64, time.Duration), recs []*measure.Recorder, start time.Time, done <-chan struct{}) {
	if f == nil {
		return
	}
	report := func() {
		var ops int64
		for _, r := range recs {
			ops += r.Ops()
		}
		f(ops, time.Since(start))
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			report()
		case <-done:
			report()
			return
		}
	}
}

// timetable hands out the operations of a run.
type timetable struct {
	start, stop time.Time // stop is zero where no duration was given
	limit       int64     // operations, 0 for no limit
	gap         float64   // nanoseconds between two operations, 0 for a closed loop
	due         func(n int64) time.Duration
	next        atomic.Int64

	pace *pace.Pace // nil for no bound
}

// plan is when operation n is due; ok is false in a closed loop.
func (t *timetable) plan(n int64) (due time.Time, ok bool) {
	switch {
	case t.due != nil:
		return t.start.Add(t.due(n)), true
	case t.gap > 0:
		return t.start.Add(pace.Span(float64(n) * t.gap)), true
	}
	return time.Time{}, false
}

func (t *timetable) work(ctx context.Context, w *Worker, rec *measure.Recorder, do Do) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for first := true; ctx.Err() == nil; first = false {
		n := t.next.Add(1) - 1
		if t.limit > 0 && n >= t.limit {
			return
		}
		now := time.Now()
		due, open := t.plan(n)
		if !open {
			due = now
		}
		// The first one of a closed loop runs in any case: a short run on a busy machine, whose workers were not scheduled
		// in time, has a figure nevertheless.
		if (open || !first) && !t.stop.IsZero() && !due.Before(t.stop) {
			return
		}
		begin := due
		if t.pace != nil {
			if begin, _ = t.pace.Turn(later(due, now)); !open {
				due = begin
			}
			// The first one does not wait beyond the end for its turn either.
			if !t.stop.IsZero() && !begin.Before(t.stop) && (!first || begin.After(now)) {
				return
			}
		}
		if wait := begin.Sub(now); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			// Only a worker that was free in time can be late by the generator's own
			// fault; one that comes from a slow operation is late by the server's.
			rec.Lag(time.Since(begin))
		}
		kind := do(ctx, w, n)
		rec.Record(kind, due, time.Now())
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
