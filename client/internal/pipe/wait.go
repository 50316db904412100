package pipe

import "context"

// Wait returns true when k is complete, false when ctx ended first: k is abandoned
// then, belongs to the connection, and its Settler will learn the outcome. Call it
// once, after Start.
//
// A caller that finds a reader parks without the lock, and the race is this: the
// reader looks for a parked caller to hand its role to, finds none, and lays the role
// down, while we park. So we look again after we have parked (mark waiting, then read
// reading), and the reader looks again after it has laid the role down (write
// reading, then look for waiting): one of us sees the other.
func (c *Conn) Wait(ctx context.Context, k *Call) bool {
	if k.state.Load() == stateDone {
		return c.collect(ctx, k)
	}
	if c.reading.Load() {
		k.waiting.Store(true)
		if c.reading.Load() {
			return c.park(ctx, k)
		}
	}
	c.mu.Lock()
	return c.readOrPark(ctx, k)
}

// readOrPark takes the reader's role if nobody has it, and parks otherwise. mu is held
// and released.
func (c *Conn) readOrPark(ctx context.Context, k *Call) bool {
	switch {
	case k.state.Load() == stateDone:
		c.mu.Unlock()
		return c.collect(ctx, k)
	case k.role != sigDone || c.reading.Load():
		if k.role == sigDone {
			k.waiting.Store(true)
		}
		c.mu.Unlock()
		return c.park(ctx, k)
	}
	k.waiting.Store(false)
	c.reading.Store(true)
	c.reader = k
	c.mu.Unlock()
	return c.read(ctx, k)
}

// collect takes the completion signal of a call that is done. A role may still lie
// before it in the channel.
func (c *Conn) collect(ctx context.Context, k *Call) bool {
	for {
		if sig := <-k.wake; sig == sigDone {
			return true
		} else if sig == sigFlush {
			c.flush(ctx, k)
		}
	}
}

// park sleeps until k is complete, a role is handed over, or ctx ends.
func (c *Conn) park(ctx context.Context, k *Call) bool {
	done := ctx.Done()
	for {
		var sig signal
		if done == nil {
			sig = <-k.wake
		} else {
			select {
			case sig = <-k.wake:
			case <-done:
				if c.abandon(k) {
					return false
				}
				// Completed at the same moment: the signal is there or about to be.
				done = nil
				continue
			}
		}
		switch sig {
		case sigDone:
			return true
		case sigRead:
			return c.read(ctx, k)
		case sigFlush:
			c.flush(ctx, k)
			c.mu.Lock()
			k.role = sigDone
			return c.readOrPark(ctx, k)
		}
	}
}

// abandon gives k up for a caller whose context ended. False means that k was
// completed first.
//
// The race: the reader completes k while we leave. Both try to move the state away
// from pending; the loser leaves k to the winner. A role may have been handed to us
// that we have not taken up: it is passed on here, under the lock under which it
// was given.
func (c *Conn) abandon(k *Call) bool {
	c.mu.Lock()
	if !k.state.CompareAndSwap(statePending, stateAbandoned) {
		c.mu.Unlock()
		return false
	}
	k.waiting.Store(false)
	c.abandoned++
	mustFail := false
	switch k.role {
	case sigRead:
		mustFail = c.giveRead()
	case sigFlush:
		c.passFlush()
	}
	c.needDrainer()
	c.mu.Unlock()
	if mustFail {
		c.failAll()
	}
	return true
}

// giveRead hands the reader's role to a caller parked in Wait, or lays it down. The
// newest is asked: its reply comes last, so it reads for all the others and the role
// changes hands least often. mu is held and the caller has the role. If it returns
// true the connection has died meanwhile: the caller keeps the role and must call
// failAll once it has unlocked mu.
func (c *Conn) giveRead() (mustFail bool) {
	c.reader = nil
	if c.dead.Load() {
		return true
	}
	if c.passRead() {
		return false
	}
	c.reading.Store(false)
	if c.passRead() { // see Wait
		c.reading.Store(true)
		return false
	}
	c.needDrainer()
	return false
}

// passRead hands the reader's role to a parked caller, if there is one. mu is held.
func (c *Conn) passRead() bool {
	k := c.newestQueued()
	if k == nil {
		k = newestWaiting(c.mine[c.mhead:])
	}
	if k == nil {
		return false
	}
	c.reader = k
	k.give(sigRead)
	return true
}

// newestQueued is the newest parked caller whose call no reader has taken yet, nil if there is none: those held aside are
// answered last. mu is held.
func (c *Conn) newestQueued() *Call {
	if k := newestWaiting(c.out.gets); k != nil {
		return k
	}
	return newestWaiting(c.queue)
}

// give wakes a parked caller with a role. mu is held.
func (k *Call) give(role signal) {
	k.waiting.Store(false)
	k.role = role
	k.wake <- role
}

func newestWaiting(ks []*Call) *Call {
	for i := len(ks) - 1; i >= 0; i-- {
		if ks[i].waiting.Load() {
			return ks[i]
		}
	}
	return nil
}

// needDrainer starts a drainer if replies of abandoned calls are due and nobody
// reads. mu is held.
func (c *Conn) needDrainer() {
	if c.abandoned > 0 && !c.reading.Load() && !c.dead.Load() {
		c.startDrainer()
	}
}

// startDrainer has a goroutine of the owner's read, for no caller. If the owner is
// closing it will not start anything: Kill is on its way. mu is held and nobody reads.
func (c *Conn) startDrainer() {
	c.reader = nil
	c.reading.Store(true)
	if !c.cfg.Go(c.drain) {
		c.reading.Store(false)
	}
}
