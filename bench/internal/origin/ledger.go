package origin

import (
	"sync"
	"time"
)

// Ledger judges loads: which of them were needed, because what had been loaded before
// had ended or was lost, and which came too early or again. It is safe for concurrent use.
type Ledger struct {
	cycle time.Duration

	mu     sync.Mutex // guards what follows
	keys   map[string]*page
	counts Loads
}

// page is what is known of one key.
type page struct {
	due   time.Time // when it may be loaded again; zero if it never was
	asked bool      // since it is due
}

// Loads are counts of loads.
type Loads struct {
	All    int64 // that began
	Needed int64 // of them: the first of its key since it was due
	Failed int64 // of them: whoever asked got nothing of it
}

// Excess is how many loads there were for each that was needed, 1 if all were.
func (l Loads) Excess() float64 {
	if l.Needed == 0 {
		return 0
	}
	return float64(l.All) / float64(l.Needed)
}

// NewLedger makes a ledger of values that serve for at least cycle, counted from
// the beginning of their load; 0 is for ever.
func NewLedger(cycle time.Duration) *Ledger {
	return &Ledger{cycle: cycle, keys: map[string]*page{}}
}

// Begin notes a load that begins, and returns what to call when it has ended: ok says
// that whoever asked has the value.
func (l *Ledger) Begin(key string, now time.Time) (end func(ok bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.keys[key]
	if p == nil {
		p = &page{}
		l.keys[key] = p
	}
	l.counts.All++
	if !p.asked && !now.Before(p.due) {
		l.counts.Needed++
		p.asked = true
	}
	return func(ok bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !ok {
			l.counts.Failed++
			return
		}
		if l.cycle > 0 {
			p.due, p.asked = now.Add(l.cycle), false
		}
	}
}

// Lost says that the cache has nothing any more: every key is due.
func (l *Ledger) Lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.keys {
		p.due, p.asked = time.Time{}, false
	}
}

// Loads returns the counts since the last call.
func (l *Ledger) Loads() Loads {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counts
	l.counts = Loads{}
	return n
}
