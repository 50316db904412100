package loader

import "time"

// mostLinger is the longest that a worker waits for more writes by default.
const mostLinger = 20 * time.Millisecond

// lingering is the state of the worker, one at the most, that has work and waits for more: a
// transaction of the origin costs about the same for ten rows as for a hundred, and a key that is
// written again meanwhile is stored once. backlog.mu guards it.
type lingering struct {
	want  int  // the length of ready that is worth no further wait; 0 while nobody lingers
	late  bool // it has waited for long enough
	hasty int  // calls that wait for writes to reach the origin, or for room: then nobody lingers
}

// gather waits until ready is most long, for d at most. The caller holds b.mu.
func (b *backlog) gather(most int, d time.Duration) {
	l := &b.linger
	if d <= 0 || len(b.ready) >= most || l.hasty > 0 || b.stopped {
		return
	}
	l.want, l.late = most, false
	t := time.AfterFunc(d, b.endLinger)
	for !l.late && len(b.ready) < most && l.hasty == 0 && !b.stopped {
		b.full.Wait()
	}
	t.Stop()
	l.want = 0
}

// endLinger is the timer's function. One that comes late ends the next wait too soon.
func (b *backlog) endLinger() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.linger.late = true
	b.full.Signal()
}

// arrived wakes a worker, if it is time. The caller holds b.mu.
func (b *backlog) arrived() {
	switch l := &b.linger; {
	case l.want == 0:
		b.wake.Signal()
	case len(b.ready) >= l.want:
		b.full.Signal()
	}
}

// hasten keeps workers from lingering until the function it returns is called.
func (b *backlog) hasten() (done func()) {
	b.hurries(1)
	return func() { b.hurries(-1) }
}

func (b *backlog) hurries(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.linger.hasty += n
	b.full.Signal()
}
