package pipe

import (
	"time"

	"github.com/memherd/memherd/client/item"
)

// The overdue timer: one per connection, armed when a call is queued and left
// running while calls keep coming, so that a steady stream of them costs one timer
// event per Timeout and not one per call. Calls are answered in order and all have
// the same Timeout, so the oldest is always the first to become overdue.

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

// checkOverdue kills the connection if its oldest call has waited for Timeout.
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
	if wait := c.headSent + int64(c.cfg.Timeout) - now; wait > 0 {
		c.arm(time.Duration(wait))
		c.mu.Unlock()
		return
	}
	if now-c.timerDue > int64(c.cfg.Timeout/4) {
		// The timer itself is late: this process, or the machine, stood still, and the
		// replies may be waiting in the socket. The node gets another Timeout before
		// it is blamed.
		c.arm(c.cfg.Timeout)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.Kill(item.ErrTimeout)
}
