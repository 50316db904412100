package pipe

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// past is a deadline that has passed whatever the clock says.
var past = time.Unix(1, 0)

// unansweredBlock is how many bytes may be unanswered on a plain socket before a write
// is expected to block: below it they fit into the kernel's buffers, and a
// cancellation need not be able to interrupt the write. TLS is taken to have such a
// socket beneath; of anything else nothing is known.
const unansweredBlock = 48 << 10

// Start queues k and sends it, together with whatever others have queued, unless
// somebody else is sending already. The value and the key have been copied when it
// returns. It fails, with k not sent, if the connection is dead, if MaxInFlight is reached,
// or with ErrNoBurst or ErrStamp; k then still belongs to the caller.
func (c *Conn) Start(ctx context.Context, k *Call) error {
	err := c.queueOne(k)
	if err == nil {
		c.beginFlush(ctx, k)
	}
	return err
}

// queueOne queues k, and leaves mu locked unless it fails.
func (c *Conn) queueOne(k *Call) error {
	if k.burst != nil && c.cfg.Classic {
		return ErrNoBurst
	}
	c.encode(k)
	c.mu.Lock()
	if c.dead.Load() {
		err := c.deadCause()
		c.mu.Unlock()
		return err
	}
	// Under the lock, so that a stamp changed after it cannot have been meant.
	if k.Under != 0 && k.Under != c.mark.Load() {
		c.mu.Unlock()
		return ErrStamp
	}
	if k.counts() {
		if n := c.cfg.InFlight.Add(1); c.cfg.MaxInFlight > 0 && n > int64(c.cfg.MaxInFlight) {
			c.cfg.InFlight.Add(-1)
			c.mu.Unlock()
			return item.ErrBusy
		}
	}
	if k.burst != nil {
		c.company.met(c.pending.Load() > 0)
	}
	c.enqueue(k)
	return nil
}

// ErrStamp is what Start returns for a call that asks for a connection with another stamp.
var ErrStamp = errors.New("memherd: the connection has another stamp")

// StartAll queues many calls under one lock and one write. Each is waited for by itself.
// On failure none was sent.
func (c *Conn) StartAll(ctx context.Context, ks []*Call) error {
	if len(ks) == 0 {
		return nil
	}
	for _, k := range ks {
		c.encode(k)
	}
	c.mu.Lock()
	if c.dead.Load() {
		err := c.deadCause()
		c.mu.Unlock()
		return err
	}
	for _, k := range ks {
		if k.Under != 0 && k.Under != c.mark.Load() {
			c.mu.Unlock()
			return ErrStamp
		}
	}
	for _, k := range ks {
		if k.counts() {
			c.cfg.InFlight.Add(1)
		}
		c.enqueue(k)
	}
	c.beginFlush(ctx, ks[len(ks)-1])
	return nil
}

// Post starts a call nobody will wait for; its Settler, if any, learns the outcome.
// On a dead connection it does nothing and returns false; k is freed either way. Post
// does no I/O, so that a Settler may call it: the reader must not wait in Write for a
// peer that waits for its replies to be read. A connection that takes no bursts counts as dead to one.
func (c *Conn) Post(k *Call) bool {
	if k.burst != nil && c.cfg.Classic {
		k.Free()
		return false
	}
	c.encode(k)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead.Load() {
		k.Free()
		return false
	}
	if k.counts() {
		c.cfg.InFlight.Add(1)
	}
	c.enqueue(k)
	k.state.Store(stateAbandoned)
	c.abandoned++
	if !c.flushing {
		c.flushing = true
		c.flushElsewhere()
	}
	c.needDrainer()
	return true
}

// deadCause says why nothing can be sent any more. mu is held.
func (c *Conn) deadCause() error {
	if c.cause != nil {
		return c.cause
	}
	return item.ErrConnLost
}

// encode writes the request's line into the call's own memory, before the lock is
// taken: under it the bytes are only copied.
func (c *Conn) encode(k *Call) {
	k.cmd = k.Req.Cmd
	if k.Classic = c.cfg.Classic && k.cmd.Meta(); k.Classic {
		c.encodeClassic(k)
		k.Share = false
		return
	}
	if k.Share = k.Share && !c.cfg.Without.Opaque; k.Share {
		return // see outbox.share
	}
	if k.cmd.Meta() && k.cmd != memproto.CmdMetaNoop && k.cmd != memproto.CmdMetaDebug && !c.cfg.Without.Opaque {
		k.Req.Opaque = c.opaque(k)
		k.Req.Flags |= memproto.FlagO
	}
	if k.burst != nil {
		k.burst.encode(&k.Req, k.Req.Opaque, c.fewNow())
		return
	}
	k.line = k.Req.AppendLine(k.line[:0])
	if k.cmd.Storage() && len(k.Req.Value) >= bulkRequest {
		if k.bulk == nil {
			k.bulk = k.pool.buf(len(k.line) + len(k.Req.Value) + 2)
		}
		k.bulk = append(append(append(k.bulk[:0], k.line...), k.Req.Value...), '\r', '\n')
	}
}

// enqueue appends the request, which is encoded, and takes the next slot. mu is held.
func (c *Conn) enqueue(k *Call) {
	if !c.cfg.Without.Overdue {
		c.note(k)
	}
	if k.Share {
		c.share(k)
	} else {
		if k.bulk != nil {
			c.sealGets() // they do not wait for a large value to be out
		}
		k.offset = c.appended
		c.appended += int64(c.out.add(k))
		c.queue = append(c.queue, k)
	}
	c.queued.Store(int32(c.out.calls))
	// The bytes are in out: let go of the caller's memory.
	k.Req.Key, k.Req.Opaque = nil, nil
	if k.cmd != memproto.CmdMetaGet {
		k.Req.More, k.Req.Value, k.Req.Args = nil, nil, nil
	}
	c.started += uint64(k.weight())
	c.pending.Add(1)
}

// note stamps a call with the time and sees to it that somebody notices if it is not
// answered. mu is held.
func (c *Conn) note(k *Call) {
	if !c.flushing || c.slow {
		c.stamp = c.Now()
	}
	// While somebody writes, the time its last write began stands for now: reading
	// the clock costs as much as all the rest here. Too early by less than one system
	// call, which makes a reply overdue, or a near entry stale, a little sooner. A
	// write that may block is another matter.
	k.sentAt = c.stamp
	if c.headSent == 0 {
		c.setHead(k.sentAt, c.appended)
	}
	if !c.armed {
		c.arm(c.warning())
	}
}

// beginFlush sends what is queued if nobody else does, for the caller of me (nil:
// for nobody). mu is held and released.
func (c *Conn) beginFlush(ctx context.Context, me *Call) {
	if expect, ok := c.takeFlush(me); ok {
		c.gather(expect)
		c.flush(ctx, me)
	}
}

// takeFlush takes the flusher's role for me, if nobody has it, and says how many requests to expect. mu is held and released.
func (c *Conn) takeFlush(me *Call) (expect int, ok bool) {
	if ok = !c.flushing; ok {
		c.flushing, c.flusher = true, me
	}
	expect = c.lastBatch
	c.mu.Unlock()
	return expect, ok
}

// flush writes until nothing is queued. The caller has the flusher's role for me and
// has lost it when flush returns.
func (c *Conn) flush(ctx context.Context, me *Call) { c.flushFor(ctx, me, false) }

// flushFor is flush. If holds is true, the caller must not be kept waiting: see Flush.
func (c *Conn) flushFor(ctx context.Context, me *Call, holds bool) {
	c.mu.Lock()
	for turn := 0; ; turn++ {
		if holds && !c.out.empty() {
			// In each turn: others queue more, and larger requests, while this one writes.
			switch {
			case c.mayBlock(c.appended):
				c.flushElsewhere()
				c.mu.Unlock()
				return
			case turn > 0 && c.heldLong(me):
				c.passFlush()
				c.mu.Unlock()
				return
			}
		}
		p := c.takeOut()
		if p == nil {
			c.endFlush()
			c.mu.Unlock()
			return
		}
		blocks := c.mayBlock(c.taken)
		if blocks && c.brittle && ctx.Done() != nil {
			// An interrupt would be the end of the connection.
			c.rest = *p
			c.flushElsewhere()
			c.mu.Unlock()
			return
		}
		c.slow = blocks
		large := p.size() >= largeWrite
		if large {
			c.congested.Store(true)
		}
		c.mu.Unlock()

		var stop func() bool
		if blocks && ctx.Done() != nil {
			stop = context.AfterFunc(ctx, func() { c.interrupt(me) })
		}
		err := p.write(c.nc, c.rw)
		if stop != nil {
			stop()
		}

		c.mu.Lock()
		c.slow = false
		if large {
			c.congested.Store(false)
		}
		poked := c.unpokeWrite()
		switch {
		case err == nil:
			c.out.reuse(p, c.cfg.Calls)
			if !c.out.empty() && me != nil && me.state.Load() != statePending && c.giveFlush() {
				// Our reply is here already; somebody who still waits goes on.
				c.mu.Unlock()
				return
			}
		case poked && errors.Is(err, os.ErrDeadlineExceeded) && !c.dead.Load():
			// Interrupted: our caller's context ended. What is not out yet must go out
			// before anything else does.
			c.rest = *p
			if me != nil && ctx.Err() != nil {
				c.passFlush()
				c.mu.Unlock()
				return
			}
		default:
			c.endFlush()
			c.mu.Unlock()
			c.Kill(lost(err))
			return
		}
	}
}

// passFlush hands the flusher's role on, to a goroutine of the owner's if no caller
// can take it. mu is held and the caller has the role.
func (c *Conn) passFlush() {
	if !c.giveFlush() {
		c.flushElsewhere()
	}
}

// flushElsewhere hands the flusher's role to a goroutine of the owner's. mu is held
// and the caller has the role.
func (c *Conn) flushElsewhere() {
	c.flusher = nil
	if !c.cfg.Go(func() { c.flush(context.Background(), nil) }) {
		c.endFlush() // the owner is closing: Kill is on its way
	}
}

// takeOut returns the bytes to write next, nil if there are none. They are the
// flusher's until it comes back. mu is held.
func (c *Conn) takeOut() *parcel {
	switch {
	case c.dead.Load():
		// Not taken: what is still here has not been sent, and its calls may be told.
		c.queueHeld(c.appended)
		c.out.drop()
		c.rest = parcel{}
		return nil
	case len(c.rest.bufs) > 0:
		c.flying, c.rest = c.rest, parcel{}
		return &c.flying
	case c.out.empty():
		return nil
	}
	c.sealGets()
	c.taken = c.appended
	if !c.cfg.Without.Overdue {
		c.stamp = c.Now()
	}
	c.flying = c.out.take()
	return &c.flying
}

// endFlush gives the flusher's role up. mu is held.
func (c *Conn) endFlush() { c.flushing, c.flusher = false, nil }

// giveFlush hands the flusher's role to a caller parked in Wait, if there is one. The
// newest is asked: its own bytes are surely among those still queued. mu is held.
func (c *Conn) giveFlush() bool {
	k := c.newestQueued()
	if k == nil {
		return false
	}
	c.flusher = k
	k.give(sigFlush)
	return true
}

// interrupt gets the caller of k out of a blocking Read or Write: its context ended.
func (c *Conn) interrupt(k *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Load() && c.reader == k {
		c.rpoked = true
		_ = c.nc.SetReadDeadline(past)
	}
	if c.flushing && c.flusher == k {
		c.wpoked = true
		_ = c.nc.SetWriteDeadline(past)
	}
}

// unpokeWrite takes an interrupt's write deadline back; true if there was one. mu is
// held.
func (c *Conn) unpokeWrite() (poked bool) {
	if poked = c.wpoked; poked {
		c.wpoked = false
		_ = c.nc.SetWriteDeadline(time.Time{})
	}
	return poked
}

// unpokeRead takes an interrupt's read deadline back. mu is held.
func (c *Conn) unpokeRead() {
	if c.rpoked {
		c.rpoked = false
		_ = c.nc.SetReadDeadline(time.Time{})
	}
}
