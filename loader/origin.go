package loader

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Origin says how the origin is protected, beside Config.MaxLoads. In the zero value a
// load waits for its slot as long as its LoadTimeout allows, and there is no other
// limit.
//
// A load that is shed fails with ErrOriginBusy; with Freshness.IfError its callers get a
// value past its TTL instead, if there is one.
type Origin struct {
	// QueueWait is how long a load may wait for its turn before it is shed. 0 means
	// Config.LoadTimeout.
	QueueWait time.Duration
	// MinLoads makes the limit on concurrent loads find its own value between this and
	// Config.MaxLoads, where it starts: it falls by 30 % when a load fails, times out or takes
	// longer than SlowAfter, at most every 100 ms, and rises by one after as many good ones as it
	// allows. 0 means that it stays at MaxLoads.
	MinLoads int
	// SlowAfter, with MinLoads, is what a load takes if the origin has too much to do. 0 means
	// half of Config.LoadTimeout: say what is slow for yours.
	SlowAfter time.Duration
	// Rate is how many loads may begin each second. 0 means any number. A load that waits for its turn
	// has its slot already.
	Rate float64
	// Burst is how many may begin at once after a time of fewer. 0 means Rate rounded up, 1 at least.
	Burst int
	// SecondAfter lets a second call of Load begin for a key whose first one has run
	// for that long, as one that hangs in a dead connection does, if a slot is free and the
	// limits allow it. Who succeeds first is believed. Both end with the first one's LoadTimeout, and
	// there is no third. 0 means never; else it must be less than Config.LoadTimeout.
	SecondAfter time.Duration
	// RetryBudget is which share of the loads may be second ones, so that an origin
	// that is slow with everything does not get everything twice. Ten may run
	// up beyond that. 0 means 0.1; at most 1.
	RetryBudget float64
}

// DefaultRetryBudget is what Origin.RetryBudget 0 means.
const DefaultRetryBudget = 0.1

// budgetMost is how many second loads may be saved up.
const budgetMost = 10

func (o Origin) withDefaults(loadTimeout time.Duration, maxLoads int) (Origin, error) {
	switch {
	case o.QueueWait < 0:
		return o, fmt.Errorf("memherd: loader.Config.Origin.QueueWait is negative (%v): use 0 for LoadTimeout", o.QueueWait)
	case o.MinLoads < 0 || o.MinLoads > maxLoads:
		return o, fmt.Errorf("memherd: loader.Config.Origin.MinLoads is %d: use 0 to Config.MaxLoads (%d)", o.MinLoads, maxLoads)
	case o.SlowAfter < 0:
		return o, fmt.Errorf("memherd: loader.Config.Origin.SlowAfter is negative (%v): use 0 for half of LoadTimeout", o.SlowAfter)
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 0):
		return o, fmt.Errorf("memherd: loader.Config.Origin.Rate is %v: use 0 for no limit", o.Rate)
	case o.Burst < 0:
		return o, fmt.Errorf("memherd: loader.Config.Origin.Burst is negative (%d): use 0 for the default", o.Burst)
	case o.Burst > 0 && o.Rate == 0:
		return o, fmt.Errorf("memherd: loader.Config.Origin.Burst is %d without a Rate: set both or none", o.Burst)
	case o.SecondAfter < 0:
		return o, fmt.Errorf("memherd: loader.Config.Origin.SecondAfter is negative (%v): use 0 for never", o.SecondAfter)
	case o.SecondAfter >= loadTimeout:
		return o, fmt.Errorf("memherd: loader.Config.Origin.SecondAfter (%v) is not less than Config.LoadTimeout (%v): a second load would never begin", o.SecondAfter, loadTimeout)
	case !(o.RetryBudget >= 0 && o.RetryBudget <= 1):
		return o, fmt.Errorf("memherd: loader.Config.Origin.RetryBudget is %v: use 0 for the default, or up to 1", o.RetryBudget)
	}
	if o.MinLoads == 0 {
		o.MinLoads = maxLoads
	}
	if o.SlowAfter == 0 {
		o.SlowAfter = loadTimeout / 2
	}
	if o.Burst == 0 {
		o.Burst = int(min(max(math.Ceil(o.Rate), 1), math.MaxInt32))
	}
	if o.RetryBudget == 0 {
		o.RetryBudget = DefaultRetryBudget
	}
	return o, nil
}

// doors are what every load passes through.
type doors struct {
	*gate
	rate   *rate.Limiter // nil for none
	budget budget
}

func newDoors(o Origin, maxLoads int, moved func(from, to int)) *doors {
	d := &doors{gate: newGate(o.MinLoads, maxLoads, o.SlowAfter, moved), budget: budget{share: o.RetryBudget, saved: budgetMost}}
	if o.Rate > 0 {
		d.rate = rate.NewLimiter(rate.Limit(o.Rate), o.Burst)
	}
	return d
}

// budget says whether a second load may begin.
type budget struct {
	share float64

	mu    sync.Mutex // guards saved
	saved float64
}

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = min(b.saved+b.share, budgetMost)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.saved < 1 {
		return false
	}
	b.saved--
	return true
}

// spare gives back what a load that did not begin has spent.
func (b *budget) spare() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = min(b.saved+1, budgetMost)
}

// admit waits for the turn of a load of so many keys.
func (l *Loader[V]) admit(ctx context.Context, keys int) error {
	began := time.Now()
	q := ctx
	if d := l.cfg.Origin.QueueWait; d > 0 {
		var cancel context.CancelFunc
		q, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	// The slot first: who had its turn by the rate and waits for a slot then would begin with all the others who do.
	err := l.doors.enter(q)
	if err == nil && l.doors.rate != nil {
		if err = l.doors.rate.Wait(q); err != nil {
			l.doors.skip()
		}
	}
	if err == nil {
		l.doors.budget.earn()
		return nil
	}
	l.count.shed.Add(1)
	if h := l.cfg.Hooks.Shed; h != nil {
		h(keys, time.Since(began))
	}
	// Rate sheds at once what would have to wait for too long.
	if d := l.cfg.Origin.QueueWait; ctx.Err() != nil || d == 0 || d >= l.cfg.LoadTimeout {
		return fmt.Errorf("%w: %w", ErrOriginBusy, ErrLoadTimeout)
	}
	return ErrOriginBusy
}

// admitSecond is whether a second load may begin now.
func (l *Loader[V]) admitSecond() bool {
	b := &l.doors.budget
	if !b.spend() {
		return false
	}
	if l.doors.tryPass() {
		return true
	}
	b.spare()
	return false
}

// admitSpare is whether a load that nobody waits for may begin now.
func (l *Loader[V]) admitSpare() bool { return l.doors.tryPass() }

// tryPass passes the doors without waiting.
func (d *doors) tryPass() bool {
	if !d.tryEnter() {
		return false
	}
	if d.rate == nil || d.rate.Allow() {
		return true
	}
	d.skip()
	return false
}
