package client

import (
	"time"

	"github.com/memherd/memherd/client/internal/health"
)

// A node that left the fleet and is taken in again has missed everything since. Unless it
// is proven to be another process, which came up empty, it counts as one whose debt
// overflowed: it hears writes and is not read until Readmit (consistency rule 17).

// departed are the nodes that have left. topMu guards it.
type departed map[place]departure

// place is where a node was: its name may be given to another address.
type place struct{ name, addr string }

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
		var first place
		for p, dep := range *d {
			if first == (place{}) || dep.at.Before((*d)[first].at) {
				first = p
			}
		}
		delete(*d, first)
	}
	(*d)[place{n.Name, n.Addr}] = departure{at: time.Now(), proc: proc}
}

// reenter holds a node back from reads that has been in the fleet before. topMu is held.
func (c *Client) reenter(n *node) {
	at := place{n.Name, n.Addr}
	dep, was := c.members.departed[at]
	if !was {
		return
	}
	delete(c.members.departed, at)
	n.kept = true // what it missed it has missed, whether this list comes into force or not
	n.debt.Distrust(dep.at)
	c.members.back = append(c.members.back, n.Name)
	n.distrust(dep.proc, dep.at)
}

// inherit hands on what nodes of old were owed to nodes of the same names at other addresses,
// if they are dead: it may be the same memory that answers there. topMu is held.
func (c *Client) inherit(old, new *placement) {
	_, leaving := difference(old, new)
	for _, n := range leaving {
		heir := byName(new.nodes, n.Name)
		if heir == nil || n.breaker.Writable() || !heir.debt.Inherit(n.debt) {
			continue
		}
		n.mu.Lock()
		proc, since := n.proc, n.downSince
		n.mu.Unlock()
		heir.distrust(proc, since)
	}
}

// distrust treats a node as one that was down since then, when proc ran there: its mender
// finds out who answers now, pays what is owed, and decides whether reads may go there.
func (n *node) distrust(proc *process, since time.Time) {
	n.mu.Lock()
	n.downSince = since
	n.proc = proc // who has answered at a new address since is asked again
	n.mu.Unlock()
	if n.breaker.Trip() || n.breaker.State() == health.Down {
		n.mend()
	}
}
