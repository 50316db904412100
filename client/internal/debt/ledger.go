// Package debt keeps what one unreachable node still has to hear. Debt is always a
// delete: whatever write a copy missed or may have missed, deleting the key there
// makes the copy right again (consistency rule 14).
package debt

import (
	"sync"
	"sync/atomic"
	"time"
)

// Ledger is one node's debt, and the writes to it whose callers left before the
// reply came. A key that is in either is not read from the node. Its methods may be
// called concurrently.
type Ledger struct {
	limit int

	// entries mirrors len(m), so that reads of a node without debt take no lock.
	entries  atomic.Int64
	overflow atomic.Bool

	mu    sync.Mutex // guards what follows; a leaf in the lock order
	m     map[string]entry
	seq   uint64
	owed  int
	last  time.Time // when a key was last owed
	since time.Time // when a key was first owed after none was
	told  int64     // when watch was last told that debt was lost, in Unix seconds
	// watch is told of every key that is owed, or no longer, under mu; an empty one stands for
	// the overflow. nil for nobody.
	watch func(key string, owed bool)
}

type entry struct {
	seq    uint64        // changes whenever the key is owed anew
	due    time.Time     // not to be paid before
	pause  time.Duration // pay a second time so long after the first, 0 for no second time
	second bool          // it has been paid once, and due is the second time
	paid   time.Time     // when that was
	told   int64         // when watch was last told that it is owed, in Unix seconds
	owed   bool
	flight int32 // writes under way that nobody waits for
}

// New returns a Ledger of at most limit keys.
func New(limit int) *Ledger { return &Ledger{limit: limit, m: make(map[string]entry)} }

// Watch has f told of what is owed, what comes to be owed, and what is no longer; nil for nobody. Of what is owed
// already and comes to be owed anew it is told once a second. f is called with the ledger locked.
func (l *Ledger) Watch(f func(key string, owed bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch = f
	for key, e := range l.m {
		if e.owed {
			l.tell(key, true)
		}
	}
	if l.overflow.Load() {
		l.tell("", true)
	}
}

// Owed are the keys that are owed.
func (l *Ledger) Owed() (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range l.m {
		if e.owed {
			keys = append(keys, key)
		}
	}
	return keys
}

// Owes reports whether key is owed, the empty one whether debt was lost.
func (l *Ledger) Owes(key string) bool {
	if key == "" {
		return l.Overflow()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.m[key].owed
}

func (l *Ledger) tell(key string, owed bool) {
	if l.watch != nil {
		l.watch(key, owed)
	}
}

// booked notes that something is owed since now. What is taken over from another ledger may be older than the last that was. mu is held.
func (l *Ledger) booked(now time.Time) {
	if now.After(l.last) {
		l.last = now
	}
}

// lost marks debt of that time as lost. Like a key that is owed anew it is told again, once a second: who is told is to know when that was last, since
// a process that was started later has missed nothing. mu is held.
func (l *Ledger) lost(at time.Time) {
	l.booked(at)
	if !l.overflow.Swap(true) || at.Unix() > l.told {
		l.told = at.Unix()
		l.tell("", true)
	}
}

// Owe books a delete of key. secondAfter, if not 0, asks for the delete to be paid
// twice, the second time that much after the first: a write left in the buffers of
// a dead connection may still run in between (consistency rule 13). The pause counts
// from the payment, not from now: a node that stood still for longer runs what it
// finds in its buffers when it goes on, which is when the first payment comes, too. It returns
// false if the ledger is full: then Overflow is set, and what the node holds can't
// be trusted until it is known to have started afresh.
func (l *Ledger) Owe(key string, now time.Time, secondAfter time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.m[key]
	fresh := !e.owed
	if fresh {
		if l.owed >= l.limit {
			l.lost(now)
			return false
		}
		if l.owed == 0 {
			l.since = now
		}
		l.owed++
		e.owed = true
	}
	if fresh || now.Unix() > e.told {
		e.told = now.Unix()
		l.tell(key, true)
	}
	// A key that waits for its second payment has it after the new first one, all the same.
	e.pause = max(e.pause, secondAfter, e.due.Sub(now))
	l.seq++
	e.seq, e.due, e.second = l.seq, now, false
	l.booked(now)
	l.m[key] = e
	if !ok {
		l.entries.Add(1)
	}
	return true
}

// Flight notes that n more writes of key are under way with nobody waiting for
// them; a negative n takes that back. The two may come in either order.
func (l *Ledger) Flight(key string, n int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.m[key]
	e.flight += n
	if !e.owed && e.flight == 0 {
		if ok {
			delete(l.m, key)
			l.entries.Add(-1)
		}
		return
	}
	l.m[key] = e
	if !ok {
		l.entries.Add(1)
	}
}

// Blocks reports whether key must not be read from the node. It costs one atomic
// load while there is no debt.
func (l *Ledger) Blocks(key string) bool {
	if l.entries.Load() == 0 {
		return false
	}
	l.mu.Lock()
	_, ok := l.m[key]
	l.mu.Unlock()
	return ok
}

// Payment is a key to be deleted on all its copies.
type Payment struct {
	Key string
	seq uint64
}

// Due returns up to most keys that may be paid now, and, when there are none, how
// long until the next one may (0 if nothing is owed at all).
func (l *Ledger) Due(now time.Time, most int) (due []Payment, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range l.m {
		if !e.owed {
			continue
		}
		if d := e.due.Sub(now); d > 0 {
			if wait == 0 || d < wait {
				wait = d
			}
			continue
		}
		due = append(due, Payment{key, e.seq})
		if len(due) == most {
			break
		}
	}
	if len(due) > 0 {
		wait = 0
	}
	return due, wait
}

// Paid strikes out what was deleted on every copy. A key owed anew since Due stays,
// and so does one that has to be paid a second time.
func (l *Ledger) Paid(ps []Payment, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range ps {
		e, ok := l.m[p.Key]
		if !ok || !e.owed || e.seq != p.seq {
			continue
		}
		if e.pause > 0 {
			e.due, e.pause, e.second, e.paid = now.Add(e.pause), 0, true, now
			l.m[p.Key] = e
			continue
		}
		l.owed--
		e.owed = false
		l.tell(p.Key, false)
		if e.flight == 0 {
			delete(l.m, p.Key)
			l.entries.Add(-1)
			continue
		}
		l.m[p.Key] = e
	}
}

// Seq counts what was owed so far.
func (l *Ledger) Seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq
}

// Fenced takes note that no write can run any more that was left in the connections of
// before: what was owed up to seq need be paid but once, from now on.
func (l *Ledger) Fenced(seq uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range l.m {
		if e.owed && e.seq <= seq && (e.pause > 0 || e.due.After(now)) {
			e.pause, e.due, e.second = 0, now, false
			l.m[key] = e
		}
	}
}

// Haunted takes note that such a write may still run: everything owed is to be paid a
// second time, not sooner than pause from now.
func (l *Ledger) Haunted(now time.Time, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range l.m {
		if !e.owed {
			continue
		}
		// Either is the last payment: the one after this, or the one that is due.
		switch {
		case e.pause > 0:
			e.pause = max(e.pause, pause)
		case e.second:
			e.due = now.Add(pause)
		default:
			continue // never unsure
		}
		l.m[key] = e
	}
}

// LastOwed is when a key was last owed, the zero time if none ever was.
func (l *Ledger) LastOwed() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Age is for how long something has been owed, 0 if nothing is.
func (l *Ledger) Age(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owed == 0 {
		return 0
	}
	return now.Sub(l.since)
}

// Depth is the number of keys owed.
func (l *Ledger) Depth() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owed
}

// Overflow reports whether debt was lost because the ledger was full.
func (l *Ledger) Overflow() bool { return l.overflow.Load() }

// Distrust marks what the node holds as not to be trusted, as if debt of that time had been lost.
func (l *Ledger) Distrust(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost(at)
}

// Inherit takes over what another ledger has, which is given up: the same memory may answer
// under another address now. It reports whether that was anything.
func (l *Ledger) Inherit(from *Ledger) bool {
	from.mu.Lock()
	owed := make([]string, 0, len(from.m))
	pauses := make([]time.Duration, 0, len(from.m))
	for key, e := range from.m {
		owed = append(owed, key)
		pause := e.pause
		if e.second {
			pause = max(pause, e.due.Sub(e.paid))
		}
		pauses = append(pauses, pause)
	}
	last, overflow := from.last, from.overflow.Load()
	from.mu.Unlock()
	for i, key := range owed {
		overflow = !l.Owe(key, last, pauses[i]) || overflow
	}
	if overflow {
		l.Distrust(last)
	}
	return overflow || len(owed) > 0
}

// Forgive drops all debt and the overflow mark: the node is known to hold nothing
// that anybody wrote before.
func (l *Ledger) Forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgive()
}

// ForgiveBefore is Forgive for a node whose process began to run then, and false if something was booked since, which that process has missed. Both
// in one step: a delete may be booked while it is looked at.
func (l *Ledger) ForgiveBefore(began time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !began.After(l.last) {
		return false
	}
	l.forgive()
	return true
}

// forgive is Forgive. The caller holds mu.
func (l *Ledger) forgive() {
	for key, e := range l.m {
		if !e.owed {
			continue
		}
		l.tell(key, false)
		if e.flight == 0 {
			delete(l.m, key)
			l.entries.Add(-1)
			continue
		}
		// Nothing else stays: a second payment asked for earlier is forgiven, too.
		l.m[key] = entry{flight: e.flight}
	}
	l.owed = 0
	if l.overflow.Swap(false) {
		l.tell("", false)
	}
}
