package pipe

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/memherd/memherd/client/item"
)

// read reads and completes calls until me is complete (true) or ctx ends (false).
// The caller has the reader's role and has passed it on when read returns.
func (c *Conn) read(ctx context.Context, me *Call) bool {
	var stop func() bool // takes the interrupt back that ctx's end would cause
	looked := false      // whether what had come when ctx had ended has been taken
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	for {
		if err := c.parse(me); err != nil {
			// The reply that broke the stream may have come after ours.
			complete := me.state.Load() == stateDone
			c.die(err)
			return complete || c.collect(ctx, me)
		}
		if me.state.Load() == stateDone {
			c.mu.Lock()
			c.unpokeRead()
			mustFail := c.giveRead()
			c.mu.Unlock()
			if mustFail {
				c.failAll()
			}
			return true
		}
		if c.tryFill(ctx) {
			continue
		}
		if !looked && stop == nil && ctx.Err() != nil {
			looked = true
			if c.takeArrived() {
				continue
			}
		} else if stop == nil && ctx.Done() != nil {
			// Only now: a reader who need not wait is never in need of an interrupt.
			stop = context.AfterFunc(ctx, func() { c.interrupt(me) })
		}
		err := c.fill()
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.dead.Load() {
			c.die(lost(err))
			return c.collect(ctx, me)
		}
		c.mu.Lock()
		c.unpokeRead()
		if ctx.Err() != nil {
			// Ours to leave. A half-read data block stays with the connection, and so
			// does our slot: the next reader goes on where we stopped.
			me.state.Store(stateAbandoned) // only the reader completes calls, and we are it
			c.abandoned++
			mustFail := c.giveRead()
			c.mu.Unlock()
			if mustFail {
				c.failAll()
			}
			return false
		}
		c.mu.Unlock()
	}
}

// grace is how long a connection that can't be polled is read after its caller's context
// has ended.
const grace = 100 * time.Microsecond

// takeArrived is for a caller whose context ended before it came to wait here, while it waited
// on another connection: its reply may have lain in this one's socket all the while, and
// then it has its answer. False means that there is nothing, or that the next fill will tell: that one
// does not block for longer than grace.
func (c *Conn) takeArrived() bool {
	if c.sock != nil {
		buf, toBody := c.space()
		if n := c.sock.poll(buf); n > 0 {
			c.got(n, toBody)
			return true
		}
	}
	wait := past
	c.mu.Lock()
	if c.sock == nil && !c.flushing { // what is still being written has no reply yet
		wait = time.Now().Add(grace)
	}
	c.rpoked = true
	_ = c.nc.SetReadDeadline(wait)
	c.mu.Unlock()
	return false
}

// drain reads while replies of abandoned calls are due, or a reply is about to be
// overdue. It has the reader's role, for no caller.
func (c *Conn) drain() {
	for {
		if err := c.parse(nil); err != nil {
			c.die(err)
			return
		}
		c.mu.Lock()
		due := c.headSent != 0 && c.Now()-c.headSent >= int64(c.warning())
		if c.abandoned == 0 && !due {
			mustFail := c.giveRead()
			c.mu.Unlock()
			if mustFail {
				c.failAll()
			}
			return
		}
		c.mu.Unlock()
		if c.tryFill(context.Background()) {
			continue
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && !c.dead.Load() {
				c.mu.Lock()
				c.unpokeRead()
				c.mu.Unlock()
				continue
			}
			c.die(lost(err))
			return
		}
	}
}

// die is Kill for whoever has the reader's role.
func (c *Conn) die(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.dead.Store(true)
	c.bye.Close()
	c.mu.Unlock()
	c.failAll()
}

// space is where the next bytes belong: the data block under way if much of it is
// missing, else rbuf.
func (c *Conn) space() (buf []byte, toBody bool) {
	if c.inBody && !c.passOver && c.resp.BodyLen-c.bodyAt >= directRead && c.r == c.w {
		c.growBody()
		return c.body[c.bodyAt:], true
	}
	if c.r > 0 {
		copy(c.rbuf, c.rbuf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
	}
	return c.rbuf[c.w:], false
}

// got takes n bytes that were read into space.
func (c *Conn) got(n int, toBody bool) {
	if toBody {
		c.bodyAt += n
	} else {
		c.w += n
	}
}

// fill reads once from the socket, and waits for it.
func (c *Conn) fill() error {
	buf, toBody := c.space()
	n, err := c.rw.Read(buf)
	c.got(n, toBody)
	if n > 0 && c.sock != nil {
		d := c.sinceAsked()
		c.patience.waited(d)
		c.sleeps.slept(d)
		if d < longSleep {
			c.hurried.Store(false)
		}
	}
	if n > 0 {
		return nil // an error, if any, comes again with the next read
	}
	return readErr(err)
}

func readErr(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// growBody makes room for more of the data block: memory follows the bytes that
// have arrived, not the length that was announced.
func (c *Conn) growBody() {
	if c.bodyAt < len(c.body) {
		return
	}
	bigger := make([]byte, min(c.resp.BodyLen, 2*len(c.body)))
	copy(bigger, c.body)
	c.body = bigger
}

// lost wraps the cause of a broken connection.
func lost(err error) error {
	return &lostError{err}
}

// lostError is item.ErrConnLost with its cause.
type lostError struct{ cause error }

func (e *lostError) Error() string   { return item.ErrConnLost.Error() + ": " + e.cause.Error() }
func (e *lostError) Unwrap() []error { return []error{item.ErrConnLost, e.cause} }
