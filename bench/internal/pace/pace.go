// Package pace bounds how often something begins, over all goroutines that ask.
package pace

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// Pace hands out turns with a least time between two of them, which is as even as a bound can be: who comes late
// does not make up for it. All methods may be called by many goroutines at once.
type Pace struct {
	start time.Time
	least int64        // nanoseconds between two turns
	first int64        // the earliest turn, in nanoseconds since start
	free  atomic.Int64 // when the next turn may be, in nanoseconds since start
}

// New makes a pace whose first turn is at start plus wait, or later, and the next ones at least least apart.
func New(start time.Time, wait, least time.Duration) *Pace {
	p := &Pace{start: start, least: int64(least), first: int64(wait)}
	p.free.Store(p.first)
	return p
}

// Gap is the time between two turns at so many in a second; 0 is any number of them, for which there is none.
func Gap(perSecond float64) time.Duration {
	if perSecond == 0 {
		return 0
	}
	return Span(float64(time.Second) / perSecond)
}

// Span is so many nanoseconds, or 18 years if they are more: what a Duration cannot hold would be a time long past, and
// no bound at all. Ten times that can be held still.
func Span(ns float64) time.Duration { return time.Duration(min(ns, 1<<59)) }

// Turn is when what could begin now may begin: each call takes a turn of its own. first tells the call that got the
// first turn of all.
func (p *Pace) Turn(now time.Time) (at time.Time, first bool) {
	want := int64(now.Sub(p.start))
	for {
		free := p.free.Load()
		turn := max(free, want)
		next := turn + p.least
		if next < turn {
			next = math.MaxInt64
		}
		if p.free.CompareAndSwap(free, next) {
			return p.start.Add(time.Duration(turn)), free == p.first
		}
	}
}

// Until waits for a moment, or for the end of ctx, whose error it returns then. It takes a timer that is the caller's own.
func Until(ctx context.Context, timer *time.Timer, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
