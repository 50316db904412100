package pipe

import (
	"context"
	"sync/atomic"
	"time"
)

// A caller that asks several nodes queues its requests on all their connections before it sends any (Hold, then Flush): while it
// lets other goroutines run, so that more goes out with the first, they queue theirs on all of them, too.

// Hold is Start, but that k is queued and not sent: Flush sends it. The caller must not block before, since
// the reply is waited for from now on.
func (c *Conn) Hold(k *Call) error {
	err := c.queueOne(k)
	if err == nil {
		c.mu.Unlock()
	}
	return err
}

// Flush sends what is queued, if nobody has taken it meanwhile. k is the caller's, which Hold has queued here. last says that
// it holds nothing elsewhere: it may be kept waiting then by a peer that does not read. Otherwise a goroutine of the
// owner's is, or the peers of the other connections would be blamed for not answering what has not been sent.
func (c *Conn) Flush(ctx context.Context, k *Call, last bool) {
	c.mu.Lock()
	if c.out.empty() {
		c.mu.Unlock()
		return
	}
	expect, ok := c.takeFlush(k)
	if !ok {
		return
	}
	if !c.heldLong(k) {
		c.gather(expect)
	}
	c.flushFor(ctx, k, !last)
}

// heldLong reports whether k has been held for so long that its owner is to wait for nothing any more: where goroutines compute, each look
// whether there is more to send takes as long as all their turns, and there is one for each of his connections.
func (c *Conn) heldLong(k *Call) bool {
	return !c.cfg.Without.Overdue && time.Duration(c.Now()-k.sentAt) > min(gatherLong, c.cfg.Timeout/16)
}

// company is whether others have requests under way when one of many keys is queued, or had at one of the last
// companyFor times. Conn.mu guards changes.
type company struct{ left atomic.Int32 }

const companyFor = 32

func (c *company) met(others bool) {
	switch left := c.left.Load(); {
	case others && left < companyFor:
		c.left.Store(companyFor)
	case !others && left > 0:
		c.left.Store(left - 1)
	}
}

// Company reports whether the callers of bursts have company here, and so gain by Hold: a lone one's requests are better sent at
// once, since the server works for it while it queues the next.
func (c *Conn) Company() bool { return c.company.left.Load() > 0 }

// mayBlock reports whether a write up to that offset of the outgoing stream may have to wait for the peer. mu is held.
func (c *Conn) mayBlock(end int64) bool {
	return end-c.headAt > unansweredBlock || c.sock == nil && !c.brittle
}
