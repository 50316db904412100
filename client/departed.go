package client

import (
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/health"
)

// A node that left the fleet and is taken in again has missed everything since. Unless it
// is proven to be another process, which came up empty, it counts as one whose debt
// overflowed: it hears writes and is not read until Readmit (consistency rule 17).

// departed are the nodes that have left, by their addresses: what answers there is the same memory under
// whatever name. topMu guards it.
type departed map[string]departure

// departure is what is remembered of a node that has left.
type departure struct {
	at   time.Time
	proc *process // who ran there, nil if unknown
}

// maxDeparted bounds what is remembered. Beyond it what left first is forgotten.
const maxDeparted = 4096

// depart lets go of a node that is in no placement any more.
func (c *Client) depart(n *node) {
	n.mu.Lock()
	proc := n.proc
	n.mu.Unlock()
	c.topMu.Lock()
	if n.kept {
		c.members.remember(n, proc)
	}
	c.journal.left(n)
	c.topMu.Unlock()
	n.retire()
}

// remember notes that a node has left. topMu is held.
func (m *membership) remember(n *node, proc *process) {
	d := &m.departed
	if *d == nil {
		*d = departed{}
	}
	if len(*d) >= maxDeparted {
		first := ""
		for addr, dep := range *d {
			if first == "" || dep.at.Before((*d)[first].at) {
				first = addr
			}
		}
		delete(*d, first)
	}
	(*d)[n.Addr] = departure{at: time.Now(), proc: proc}
}

// reenter holds a node of a new list back from reads if what answers at its address has been in the fleet
// before and missed something: it has left, or is in a past list that is not told any more by
// everybody, or was owed something under another name. all are the nodes known so far. topMu is held.
func (c *Client) reenter(n *node, all []*node) {
	m := &c.members
	missed := departure{at: m.untold(n.Addr, len(m.next), time.Now(), c.cfg.migrationWindow())}
	for _, known := range all {
		switch {
		case known.Addr != n.Addr:
		case !missed.at.IsZero():
			known.mu.Lock()
			missed.proc = known.proc
			known.mu.Unlock()
		case known != n && !slices.Contains(all, n):
			n.succeed(known)
		}
	}
	if dep, was := m.departed[n.Addr]; was {
		delete(m.departed, n.Addr)
		if missed.at.IsZero() || dep.at.Before(missed.at) {
			missed.at = dep.at
		}
		missed.proc = dep.proc
	}
	if !missed.at.IsZero() {
		c.readmitted(n, missed)
	}
}

// returned holds the nodes of lists that are announced back from reads if they had missed something when the list was learned of. It is called
// when this client hears of lists before those, which it did not know of when it learned of them. topMu is held.
func (c *Client) returned() {
	m := &c.members
	for i, p := range m.next {
		for _, n := range p.nodes {
			if n.missing.Load() {
				continue
			}
			if since := m.untold(n.Addr, i, p.learned, c.cfg.migrationWindow()); !since.IsZero() {
				c.readmitted(n, departure{at: since})
			}
		}
	}
}

// tellReturned has the hook hear, when topMu is free, of the nodes that have come back and are not read. topMu is held.
func (c *Client) tellReturned() {
	if back := c.members.back; len(back) > 0 {
		c.members.back = nil
		c.group.Go(func() {
			for _, name := range back {
				c.cfg.Hooks.overflowed(name)
			}
		})
	}
}

// readmitted takes in a node that has missed what happened since it left. topMu is held.
func (c *Client) readmitted(n *node, dep departure) {
	n.kept = true // what it missed it has missed, whether this list comes into force or not
	n.debt.Distrust(dep.at)
	n.missing.Store(true)
	c.members.back = append(c.members.back, n.Name)
	n.distrust(dep.proc, dep.at)
}

// inherit hands on what nodes of old were owed to nodes that may be the same memory: those of the same
// names at other addresses, if the old ones are dead, and those of other names at the same addresses. topMu is held.
func (c *Client) inherit(old, new *placement) {
	joining, leaving := difference(old, new)
	for _, n := range leaving {
		for _, heir := range joining {
			if heir.Addr == n.Addr || heir.Name == n.Name && !n.breaker.Writable() {
				heir.succeed(n)
			}
		}
	}
}

// succeed takes over what another node's client owes.
func (n *node) succeed(old *node) {
	if !n.debt.Inherit(old.debt) {
		return
	}
	old.mu.Lock()
	proc, since := old.proc, old.downSince
	old.mu.Unlock()
	n.distrust(proc, since)
}

// distrust treats a node as one that was down since then, when proc ran there: its mender
// finds out who answers now, pays what is owed, and decides whether reads may go there.
func (n *node) distrust(proc *process, since time.Time) {
	n.mu.Lock()
	n.downSince = since
	n.proc = proc // who has answered at a new address since is asked again
	if proc == nil {
		n.proc = &process{unknown: true} // else the next connection would take who answers now for who did then
	}
	tripped := n.breaker.Trip()
	if tripped {
		n.foundDead, n.ill = time.Time{}, nil // the mender will see
	}
	n.mu.Unlock()
	if tripped || n.breaker.State() == health.Down {
		n.mend()
	}
}
