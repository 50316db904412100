package loader

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Freshness says when a value is refreshed before it ends, and how long it may be
// served when the origin fails. The zero value refreshes early by chance (Beta) and serves
// nothing past Config.TTL.
//
// A value carries the time it was written, by its writer's clock, and its times. How old it is
// follows from the reader's clock, but is held against what its node says is left of its
// life, which no clock of a process has a part in: a value counts as no younger than by the
// node's reckoning less a second, and no older than that plus one. So with clocks that agree
// the times hold to the millisecond, and with clocks that don't they hold to within
// two seconds. Nothing corrects a reader's clock where no node tells the life: for values of more
// than 30 days, whose end the writer's clock reckons, on nodes without meta commands, and in the
// near-cache (for its bound, 50 ms by default, after a read that was corrected).
type Freshness struct {
	// Soft is the age at which a value is due: it is still returned at once, and one
	// process of the fleet loads it anew in the background. 0 means Config.TTL: values
	// are not refreshed because of their age.
	Soft time.Duration
	// IfError is how long past Config.TTL a value may still be returned when its load
	// fails, runs out of time or is shed. ErrNotFound is no failure. Nodes keep
	// values that much longer. 0 means not at all.
	IfError time.Duration
	// Beta is how early values that are read often are refreshed by chance: the
	// refresh is due Beta × (what the last load took) × (a random number of mean 1,
	// exponentially distributed) before TTL, when readers would have to wait (Vattani, Chierichetti, Lowenstein:
	// Optimal Probabilistic Cache Stampede Prevention, VLDB 2015). With a Soft well before
	// TTL it hardly ever is the first to come. 0 means 1, the
	// best value by their analysis; more is earlier; any negative number means never. A
	// value that Put has written has cost no load and is not refreshed early.
	Beta float64
	// Jitter shortens each value's times by a random share of up to this, 0 to 0.9, so
	// that what was loaded together does not end together. 0 means none: the times then are
	// what they say, and of keys that are read often Beta spreads the loads already.
	Jitter float64
}

// MaxJitter is the largest Freshness.Jitter.
const MaxJitter = 0.9

func (f Freshness) withDefaults(ttl time.Duration) (Freshness, error) {
	switch {
	case f.Soft < 0:
		return f, fmt.Errorf("memherd: loader.Config.Freshness.Soft is negative (%v): use 0 for none", f.Soft)
	case f.Soft > ttl:
		return f, fmt.Errorf("memherd: loader.Config.Freshness.Soft (%v) is more than Config.TTL (%v): a value can't be due after its end", f.Soft, ttl)
	case f.IfError < 0:
		return f, fmt.Errorf("memherd: loader.Config.Freshness.IfError is negative (%v): use 0 for none", f.IfError)
	case f.IfError > math.MaxInt64-ttl:
		return f, fmt.Errorf("memherd: loader.Config.Freshness.IfError (%v) and Config.TTL (%v) are too long together", f.IfError, ttl)
	case math.IsNaN(f.Beta) || math.IsInf(f.Beta, 0):
		return f, fmt.Errorf("memherd: loader.Config.Freshness.Beta is %v: use a number", f.Beta)
	case !(f.Jitter >= 0 && f.Jitter <= MaxJitter):
		return f, fmt.Errorf("memherd: loader.Config.Freshness.Jitter is %v: use 0 to %v", f.Jitter, MaxJitter)
	}
	if f.Soft == 0 {
		f.Soft = ttl
	}
	if f.Beta == 0 {
		f.Beta = 1
	}
	return f, nil
}

// keep is how long a node is asked to keep a value.
func (l *Loader[V]) keep() time.Duration { return l.cfg.TTL + l.cfg.Freshness.IfError }

// lifeOf makes the times of a value that is about to be stored.
func (l *Loader[V]) lifeOf(cost time.Duration) life {
	f := life{soft: l.cfg.Freshness.Soft, hard: l.cfg.TTL, keep: l.keep(), cost: cost}
	if j := l.cfg.Freshness.Jitter; j > 0 {
		share := 1 - j*rand.Float64()
		f.soft, f.hard = scale(f.soft, share), scale(f.hard, share)
	}
	// An envelope counts milliseconds, and 0 would say that it has no times.
	f.soft, f.hard = max(f.soft, time.Millisecond), max(f.hard, time.Millisecond)
	return f
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// ageOf is how old a value is that a node said to have ttl (whole seconds, 0 if it
// did not say) to live. See Freshness.
func (l *Loader[V]) ageOf(e *envelope, ttl time.Duration) time.Duration {
	if e.hard == 0 {
		return 0
	}
	age := max(time.Since(e.written), 0)
	if ttl > 0 {
		gone := e.gone(ttl)
		age = max(min(max(age, gone-time.Second), gone+time.Second), 0)
	}
	return age
}

// maxExptime is client/memproto's MaxExptime.
const maxExptime = math.MaxInt32 - 10*60

// gone is how old a value is by the reckoning of its node, which says that it has ttl to live.
func (e *envelope) gone(ttl time.Duration) time.Duration {
	// The client rounds up, to two seconds at least, and has a node keep nothing beyond January 2038.
	keep := min(e.keep, time.Unix(maxExptime, 0).Sub(e.written))
	return max((keep+time.Second-1).Truncate(time.Second), 2*time.Second) - ttl
}

// surelyFresh reports whether judge would find a value fresh whatever the clock says: ageOf
// makes it no older than by its node's reckoning and a second. It is for hits, which mostly are
// far from their end: it saves them the clock, and the exact reckoning, which is not beyond gone here.
func (l *Loader[V]) surelyFresh(e *envelope, ttl time.Duration) bool {
	// One second for what the client rounds up, one for ageOf's: taken off here, since keep may be as long as there is.
	fresh := l.freshFor(e, 0)
	return e.hard == 0 || ttl > 0 && fresh > 0 && max(e.keep, time.Second)-ttl < fresh-2*time.Second
}

// left is what the caller of a lease knows of what is left of a value's life on its
// node.
func (e *envelope) left(ttl, age time.Duration) time.Duration {
	if ttl > 0 || e.hard == 0 {
		return ttl
	}
	return max(e.keep-age, time.Second)
}

// verdict is what becomes of a value that was read.
type verdict uint8

const (
	isFresh   verdict = iota
	isEarly           // fresh, and to be refreshed by XFetch's dice
	isDue             // past its soft time: to be served and refreshed
	isExpired         // not to be served, unless the origin fails
)

// farthest is the largest draw of the dice that counts: one in 10^16 is larger.
const farthest = 37

func (l *Loader[V]) judge(e *envelope, age time.Duration) verdict {
	switch {
	case e.hard == 0:
		return isFresh // as long as its node keeps it
	case age >= e.hard:
		return isExpired
	case age >= e.soft && l.cfg.Consistency == Strong:
		return isExpired // of a writer that was not Strong: see strengthen
	case age >= e.soft:
		return isDue
	}
	if beta := l.cfg.Freshness.Beta; beta > 0 && e.cost > 0 {
		ahead := beta * float64(e.cost)
		left := float64(e.hard - age)
		if left <= farthest*ahead && left <= ahead*rand.ExpFloat64() {
			return isEarly
		}
	}
	return isFresh
}
