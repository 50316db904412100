package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/debt"
	"github.com/memherd/memherd/client/internal/health"
	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Mending: while a node is down, or is owed deletes, one goroutine looks after it.
// It probes until the node answers, half-opens the breaker so that writes reach it
// again, pays the debt, and only then lets reads in. It ends when the node is up and
// owed nothing.

// connDied is what a connection calls when it has died and its calls have failed.
func (n *node) connDied(k *pipe.Conn, cause error) {
	n.endLife()
	n.c.journal.late() // what became of calls whose callers had left
	if errors.Is(cause, item.ErrClosed) || errors.Is(cause, errLeft) {
		return
	}
	n.c.cfg.Hooks.connLost(n.Name, cause)
	// A reset may be an idle connection that the node shed: the next request dials
	// and learns the truth. A node that lets replies become overdue, or that takes
	// connections only to drop them, is ill.
	if errors.Is(cause, item.ErrTimeout) || !k.Served() {
		n.trip(cause)
	}
}

// trip opens the breaker and starts mending.
func (n *node) trip(cause error) {
	if errors.Is(cause, item.ErrClosed) || errors.Is(cause, errLeft) || n.c.ctx.Err() != nil {
		return
	}
	n.mu.Lock() // who finds the node down finds since when
	tripped := n.breaker.Trip()
	if tripped {
		n.downSince = time.Now()
		n.foundDead, n.ill = n.downSince, cause
	}
	n.mu.Unlock()
	if !tripped {
		return
	}
	n.failures.Add(1)
	n.c.cfg.Hooks.nodeDown(n.Name, cause)
	n.killConns(item.ErrConnLost)
	n.mend()
}

// down is ErrNodeDown, with why it went down if that is known.
func (n *node) down() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ill == nil {
		return item.ErrNodeDown
	}
	return &downError{n.ill}
}

// refusal is the error of a request that is not sent to n, because it is down.
func (n *node) refusal(op string) *item.Error {
	return &item.Error{Op: op, Node: n.Name, Sent: item.NotSent, Err: n.down()}
}

// downError tells why a node is down and does not wrap it: that may be a deadline, a dial's for example, which
// whoever looks for his own must not find.
type downError struct{ why error }

func (e *downError) Error() string { return item.ErrNodeDown.Error() + ": " + e.why.Error() }
func (*downError) Unwrap() error   { return item.ErrNodeDown }

// owe books a delete of key as debt. secondPass says that a write of it may still lie
// in the buffers of a dead connection.
func (n *node) owe(key string, secondPass bool) {
	pause := time.Duration(0)
	if secondPass {
		pause = n.c.replayPause()
	}
	ok := n.debt.Owe(key, time.Now(), pause)
	n.c.counters.owed.Add(1)
	if ok {
		n.c.cfg.Hooks.owedTo(n.Name, n.debt.Depth())
	} else {
		// What the node holds can't be told right from wrong any more: no reads.
		n.breaker.Hold()
		n.c.cfg.Hooks.overflowed(n.Name)
	}
	n.mend()
}

// mend makes sure that the mender runs and looks at the node again.
func (n *node) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.mending && !n.closed {
		n.mending = n.c.group.Go(n.runMender)
		return
	}
	n.poke()
}

// poke wakes the mender if it sleeps.
func (n *node) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *node) runMender() {
	paid := 0
	// Of a node that was down: how long reads keep away once it is owed nothing, and until
	// when that is.
	var heldUntil, haunted time.Time
	var quarantine time.Duration
	for {
		if n.breaker.State() == health.Down {
			if !n.sleep(n.nextProbe()) {
				return
			}
			if n.breaker.State() == health.Down && !n.probe() {
				n.silent()
				continue
			}
			n.orphans.postpone(time.Now().Add(n.c.replayPause()))
			quarantine, heldUntil = n.recognise(), time.Time{}
			if n.missing.Load() {
				n.c.publishOn(n) // what it says of the fleet is from before it left
			}
		}
		look, ok := n.waitForFence(&haunted)
		if !ok {
			return
		}
		done, wait, stuck := n.payDebt()
		if look > 0 && (wait == 0 || look < wait) {
			wait = look
		}
		paid += done
		if w := n.sweepOrphans(); w != 0 && (wait == 0 || w < wait) {
			wait = w
		}
		if n.breaker.State() == health.Down {
			continue
		}
		if quarantine > 0 && !stuck && n.breaker.State() == health.Mending {
			if heldUntil.IsZero() {
				heldUntil = time.Now().Add(quarantine)
				n.quarantine(heldUntil, quarantine)
			}
			if left := time.Until(heldUntil); left > 0 {
				if wait == 0 || left < wait {
					wait = left
				}
				if !n.pause(wait) {
					return
				}
				continue
			}
			quarantine = 0
		}
		if !stuck && !n.debt.Overflow() && n.comeUp() {
			// All debt has been paid at least once. Keys that wait for their second
			// pass stay out of reads one by one; the node's other keys are right.
			n.c.cfg.Hooks.nodeUp(n.Name, paid)
			paid = 0
			if n.debt.Overflow() {
				// It overflowed between our look and Close, when owe's Hold found the
				// breaker half open still.
				n.breaker.Hold()
			}
		}
		if wait == 0 {
			if n.leave() {
				return
			}
			continue
		}
		if stuck && !n.sleep(min(wait, stuckPause)) {
			return
		}
		if !n.pause(wait) {
			return
		}
	}
}

// stuckPause is for how long nothing wakes the mender when a payment has failed. Those of two nodes that fail at once,
// because neither takes more requests, would wake each other all the time: each books what it could not tell the other.
const stuckPause = 20 * time.Millisecond

// silent notes that a node that was to be asked whether it may be read again does not answer.
func (n *node) silent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.foundDead.IsZero() {
		n.foundDead = time.Now()
	}
}

// comeUp lets reads go to the node. Who finds it up finds since when.
func (n *node) comeUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	up := n.breaker.Close()
	if up {
		n.upSince, n.ill = time.Now(), nil
	}
	return up
}

// leave ends the mender unless there is more to do. The lock makes sure that whoever
// books debt now either sees mending still true before we looked, or starts a new
// mender.
func (n *node) leave() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		n.mending = false
		return true
	}
	if n.breaker.State() == health.Down || n.debt.Depth() > 0 || !n.orphans.none() {
		return false
	}
	n.mending = false
	return true
}

// sleep is pause for the whole of d. What wakes the mender of a node that is down is
// mostly one more key that it is owed, and that is no reason to dial it again.
func (n *node) sleep(d time.Duration) bool {
	for end := time.Now().Add(d); d > 0; d = time.Until(end) {
		if !n.pause(d) {
			return false
		}
	}
	return true
}

// pause sleeps for d or until poked; false when the client or the node is closing.
func (n *node) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-n.wake:
	case <-n.c.ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.c.ctx.Err() != nil {
		n.mending = false
		return false
	}
	return true
}

// nextProbe is how long to wait before the next probe. A node that was well for a
// while starts with a short pause, one that flaps goes on where it was.
func (n *node) nextProbe() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.upSince.IsZero() && time.Since(n.upSince) > 5*time.Second {
		n.backoff.Reset()
	}
	n.upSince = time.Time{}
	n.backoff.Max = probeSoon
	if time.Since(n.downSince) > downLong {
		n.backoff.Max = probeLate
	}
	return max(n.backoff.Next(), n.pace.Room(time.Now()))
}

// Most outages are restarts, after which a node is found again within probeSoon; one that
// has lasted for downLong is asked less often.
const (
	probeSoon = 240 * time.Millisecond
	probeLate = time.Second
	downLong  = 30 * time.Second
)

// probe dials the node and asks it something that only a working server answers.
func (n *node) probe() bool {
	n.mu.Lock()
	n.pace.Note(time.Now())
	n.mu.Unlock()
	k, err := n.connect(0)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.cfg.Timeout)
	defer cancel()
	call := n.newCall()
	call.Req.Cmd, call.Apart = memproto.CmdMetaNoop, true
	if k.Start(ctx, call) != nil {
		call.Free()
		return false
	}
	if !k.Wait(ctx, call) {
		k.Kill(item.ErrTimeout)
		return false
	}
	defer call.Free()
	return call.Err == nil && n.breaker.Mend()
}

// payBatch is how many owed keys are deleted at a time: enough to fill a pipeline,
// few enough to leave room for callers.
const payBatch = 256

// payDebt deletes what is owed on every copy of each key: another client may have
// repaired a copy from the owed one meanwhile (consistency rule 14). It returns how
// many keys were paid, when to come back (0: nothing is owed), and stuck if keys
// that are due could not be paid.
func (n *node) payDebt() (paid int, wait time.Duration, stuck bool) {
	for n.c.ctx.Err() == nil && n.breaker.State() != health.Down {
		due, w := n.debt.Due(time.Now(), payBatch)
		if len(due) == 0 {
			return paid, w, false
		}
		if !n.reachable() {
			// The other copies' turn comes first: they must not lose what they hold to a
			// delete that the node would not hear anyway.
			break
		}
		ok := n.c.payKeys(n, due)
		n.debt.Paid(ok, time.Now())
		paid += len(ok)
		if len(ok) < len(due) {
			break
		}
	}
	return paid, n.c.cfg.Timeout, true
}

// reachable reports whether the node has a connection, or can be given one now.
func (n *node) reachable() bool {
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.cfg.DialTimeout)
	defer cancel()
	_, err := n.conn(ctx, 0)
	return err == nil
}

// payKeys deletes the keys on all their copies and returns those that n confirmed. A
// copy on another node that can't be reached now is that node's debt.
func (c *Client) payKeys(n *node, due []debt.Payment) []debt.Payment {
	ctx, cancel := context.WithTimeout(c.ctx, 4*c.cfg.Timeout)
	defer cancel()
	keys := make([]string, len(due))
	for i, p := range due {
		keys[i] = p.Key
	}
	confirmed := c.deleteCopies(ctx, c.top.Load(), keys, n)
	ok := due[:0]
	for i, p := range due {
		if confirmed[i] {
			ok = append(ok, p)
		}
	}
	return ok
}

// Readmit lets reads go to a node again whose debt overflowed, without that debt
// being paid: call it once the node has been flushed or restarted, or when the
// longest TTL in use has passed since it came back. Unknown names are an error.
func (c *Client) Readmit(name string) error {
	nodes := c.named(name)
	if len(nodes) == 0 {
		return configError("Readmit: no node is named %q", name)
	}
	lost := slices.ContainsFunc(nodes, func(n *node) bool { return n.debt.Overflow() })
	for _, n := range nodes {
		if lost && !n.debt.Overflow() {
			continue // it is at another address, too: there what it is owed is known, and paid
		}
		n.debt.Forgive()
		n.mend()
	}
	return nil
}
