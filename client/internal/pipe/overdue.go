package pipe

import (
	"time"

	"github.com/memherd/memherd/client/item"
)

// The overdue timer: one per connection, armed when a call is queued and left
// running while calls keep coming, so that a steady stream of them costs one timer
// event per Timeout and not one per call. Calls are answered in order and all have
// the same Timeout, so the oldest is always the first to become overdue.

// Blame needs a reader. A caller that waits for one node does not read another's
// connection, and if all callers do that, good replies lie in the socket unread. So
// the timer first fires an eighth of the Timeout early: it remembers the oldest call
// and, if nobody reads, sets a drainer to it. Only if that same call is still the
// oldest when its time is up has the node failed.

// arm starts the timer. mu is held.
func (c *Conn) arm(d time.Duration) {
	c.armed = true
	c.timerDue = c.Now() + int64(d)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.checkOverdue)
		return
	}
	c.timer.Reset(d)
}

// warning is the age at which the oldest call is looked at.
func (c *Conn) warning() time.Duration { return c.cfg.Timeout - c.cfg.Timeout/8 }

// checkOverdue kills the connection if its oldest call has waited for Timeout, and
// somebody was there to read the reply.
func (c *Conn) checkOverdue() {
	c.mu.Lock()
	if c.dead.Load() {
		c.mu.Unlock()
		return
	}
	if c.headSent == 0 {
		c.armed = false
		c.mu.Unlock()
		return
	}
	now := c.Now()
	age := time.Duration(now - c.headSent)
	late := now-c.timerDue > int64(c.cfg.Timeout/4)
	switch {
	case age < c.warning():
		c.arm(c.warning() - age)
	case late:
		// The timer itself is late: this process, or the machine, stood still, and the
		// replies may be waiting in the socket. The node gets another Timeout before
		// it is blamed.
		c.suspect = c.headStep + 1
		c.rescue()
		c.arm(c.cfg.Timeout)
	case c.suspect != c.headStep+1:
		c.suspect = c.headStep + 1
		c.rescue()
		c.arm(max(c.cfg.Timeout-age, c.cfg.Timeout/8))
	default:
		c.mu.Unlock()
		c.Kill(item.ErrTimeout)
		return
	}
	c.mu.Unlock()
}

// rescue reads replies that nobody reads. mu is held.
func (c *Conn) rescue() {
	if !c.reading.Load() {
		c.startDrainer()
	}
}
