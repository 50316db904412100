package client

import (
	"slices"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/ring"
)

// A change of the fleet takes two steps, because clients learn of it at different times
// (consistency rule 17).
//
// A new list is announced: reads go by the placement they went by, and writes and deletes
// reach the new copies, too. Config.Announce later, when every client has learned of it,
// reads switch. What the new copies miss is then looked for on the old ones, which go on
// hearing of writes and deletes, for Config.MigrationWindow. For one Announce more they hear of
// them for the sake of clients that are later, and for one more who fills a node
// that was a copy before waits for hold.
//
// Why no list may be skipped. Suppose one is announced and then another, and another client
// switches to the first before it hears of the second. It reads copies that this client has to
// delete from, then, though it never reads them itself. How long a list was the newest elsewhere
// nobody knows: if clients hear of changes up to half of Announce late, it may be Announce more or less.
// So every list is remembered until reads have switched to a later one and that one's window is
// over. Only the newest is ever switched to, when it has been that for Announce: changes
// that come faster are coalesced.
//
// And why a past list is remembered when its window is over. A node that has handed keys over to a new one and
// stays in the fleet keeps what it had of them. If the new one leaves again, those keys are its own again, and
// whoever has not written them for it would read what they were. So the nodes that stay go on hearing of
// writes and deletes, for Config.LeftoverWindow.
//
// And why a past list may be told to all its nodes for longer than its window. Another client may have found the newest
// list of then superseded just before it would have switched, and still read by the
// list before it; with changes that go on it may for long. When it has surely left that the past list is
// settled (see settle), and how long it is told counts from then. But how long a client looks there for
// what it misses counts from its own switch: it may find the list settled later than the others do, who don't
// tell it any more.

const (
	// deadFor is how long a node must have been down to count as dead.
	deadFor = 500 * time.Millisecond
	// deadLook is how often nodes that are to leave are looked at.
	deadLook = 100 * time.Millisecond
	// maxAnnounced bounds the lists that are announced at a time. Beyond it the one
	// that was the newest for the shortest time is forgotten, the least likely that anybody
	// switched to: of those with which no process starts any more, if there are any.
	maxAnnounced = 32
)

// membership is what a client knows of its fleet's lists. topMu guards it.
type membership struct {
	now       *placement
	switched  time.Time    // when reads went over to now
	past      []*placement // oldest first
	next      []*placement // oldest first
	numbers   uint64       // given to placements
	running   bool         // the goroutine that brings changes about
	wake      chan struct{}
	departed  departed
	forgotten forgotten
	back      []string // names of nodes that were in departed, for the hook
}

// SetNodes replaces the fleet. It returns at once: the change is announced, and reads
// switch Config.Announce later, or, if nothing changes but addresses, as soon as the nodes are known to be
// dead at the old ones. Until then
// Nodes shows the newcomers as Joining, and for Config.MigrationWindow and two Announce
// more those that left as Leaving: they had better run for that long, because the keys that
// move are copied from them when they are first missed.
//
// Keys move only to and from nodes that join or leave; leases and CAS tokens taken
// before the switch are void after it. A list that equals the newest changes nothing.
// On an error nothing changes: the error is ErrConfig, of package ring, or ErrClosed.
func (c *Client) SetNodes(nodes []ring.Node) error {
	c.topMu.Lock()
	if c.closed {
		c.topMu.Unlock()
		return &item.Error{Op: "set nodes", Sent: item.NotSent, Err: item.ErrClosed}
	}
	m := &c.members
	known := c.top.Load().all
	p, err := c.newPlacement(append([]ring.Node(nil), nodes...), known)
	if err == nil {
		err = c.gutterApart(p)
	}
	if err != nil || samePlacement(p, newestOf(m.now, m.next)) {
		c.topMu.Unlock()
		return err
	}
	c.enter(p, known)
	now := time.Now()
	p.learned = now
	m.numbers++
	p.number = m.numbers
	m.supersede(now, c.cfg.announce())
	m.next = append(m.next, p)
	joining, leaving := difference(m.now, p)
	for _, n := range joining {
		c.journal.adopt(n, true)
	}
	back := m.back
	m.back = nil
	if !m.running && c.cfg.announce()+c.cfg.migrationWindow()+c.cfg.leftoverWindow() > 0 {
		m.running = c.group.Go(c.runChanges)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	done := c.advance(now, false)
	c.topMu.Unlock()
	for _, name := range back {
		c.cfg.Hooks.overflowed(name)
	}
	c.cfg.Hooks.topologyAnnounced(joining, leaving)
	done()
	return nil
}

// supersede prepares for a newer list than the newest announced.
func (m *membership) supersede(now time.Time, announce time.Duration) {
	if len(m.next) == 0 {
		return
	}
	last := m.next[len(m.next)-1]
	last.superseded = now
	last.keep() // even if it was the newest for a moment here: elsewhere that may be Announce more
	if len(m.next) == maxAnnounced {
		shortest := 0
		for i, p := range m.next {
			q := m.next[shortest]
			recent, other := now.Sub(p.superseded) < announce, now.Sub(q.superseded) < announce
			if recent == other && p.superseded.Sub(p.learned) < q.superseded.Sub(q.learned) || other && !recent {
				shortest = i
			}
		}
		m.forgotten.add(m.next[shortest])
		m.next = slices.Delete(m.next, shortest, shortest+1)
	}
}

// advance does what is due at now, and publishes the snapshot that follows. switchNow says
// that there is nothing to wait for. What it returns is to be called without topMu.
func (c *Client) advance(now time.Time, switchNow bool) (after func()) {
	m := &c.members
	announce, window := c.cfg.announce(), c.cfg.migrationWindow()
	old := c.top.Load()
	var joined []*node
	switched := false
	if newest := newestOf(m.now, m.next); newest != m.now && (switchNow || now.Sub(newest.learned) >= announce) {
		for _, p := range append([]*placement{m.now}, m.next[:len(m.next)-1]...) {
			p.left = now
			m.past = append(m.past, p)
		}
		joined, _ = difference(m.now, newest)
		c.inherit(m.now, newest)
		newest.keep()
		m.now, m.next, m.switched, switched = newest, nil, now, true
	}
	m.settle(now, announce)
	m.forgetPast(now, window+2*announce, c.cfg.leftoverWindow())

	t := &topology{placement: m.now, next: slices.Clone(m.next), since: m.switched}
	for i, p := range m.past {
		next := m.now
		if i+1 < len(m.past) {
			next = m.past[i+1]
		}
		// It was there for so long that nobody has missed it who asks every half of Announce. Or some client has started with it.
		p.seen = p.seen || next.learned.Sub(p.learned) >= announce
		unsettled, since := p.settled.IsZero(), now.Sub(p.settled)
		t.past = append(t.past, past{
			placement: p,
			source:    now.Sub(p.left) < window, told: unsettled || since < window+announce,
			recent: unsettled || now.Sub(p.left) < announce, left: !unsettled && since >= window+2*announce,
			seen: p.seen,
		})
	}
	t.gather()
	for _, n := range joined {
		n.chill()
	}
	if switched && window > 0 {
		for _, n := range t.nodes {
			n.forgetSeen()
		}
	}
	if t.doubted() {
		c.cold.nodes.Add(1) // reads look whether they have to look further; see thaw
	}
	c.top.Store(t)
	if t.doubted() {
		c.cold.nodes.Add(1) // once more: thaw may have counted the snapshot before
	}
	return func() {
		if switched {
			c.detector.SetNodes(len(t.nodes))
			// A near entry is a copy of what its key's old home said.
			c.near.DropAll()
		}
		for _, n := range old.all {
			if !slices.Contains(t.all, n) {
				c.depart(n)
			}
		}
		if switched && c.cfg.Hooks.TopologyChanged != nil {
			c.cfg.Hooks.TopologyChanged(len(t.nodes))
		}
	}
}

// gather collects the nodes of all placements.
func (t *topology) gather() {
	t.hears = map[*node]bool{}
	add := func(p *placement, told bool) {
		for _, n := range p.nodes {
			t.hears[n] = t.hears[n] || told
			if !slices.Contains(t.all, n) {
				t.all = append(t.all, n)
			}
		}
	}
	add(t.placement, true)
	for i := len(t.next) - 1; i >= 0; i-- {
		add(t.next[i], true)
	}
	for i := len(t.past) - 1; i >= 0; i-- {
		if !t.past[i].left {
			add(t.past[i].placement, t.past[i].told)
		}
	}
}

// nextDeadline is when advance has something to do, the zero time for never.
func (m *membership) nextDeadline(now time.Time, announce, window, leftovers time.Duration) time.Time {
	var first time.Time
	due := func(at time.Time) {
		if at.After(now) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if newest := newestOf(m.now, m.next); newest != m.now {
		due(newest.learned.Add(announce))
	}
	due(m.switched.Add(announce))
	due(newestOf(m.now, m.next).learned.Add(2 * announce))
	for _, p := range m.past {
		due(p.left.Add(window))
		due(p.left.Add(announce))
		for _, d := range []time.Duration{window + announce, window + 2*announce, leftovers} {
			if !p.settled.IsZero() {
				due(p.settled.Add(d))
			}
		}
	}
	return first
}

// runChanges brings changes about until none is under way.
func (c *Client) runChanges() {
	var looked uint64 // the placement whose nodes have been called on
	var stood stand   // what has been published
	for {
		c.topMu.Lock()
		now := time.Now()
		done := c.advance(now, c.hopeless(now))
		at := c.members.nextDeadline(now, c.cfg.announce(), c.cfg.migrationWindow(), c.cfg.leftoverWindow())
		newest, announced := newestOf(c.members.now, c.members.next), len(c.members.next) > 0
		if at.IsZero() {
			c.members.running = false
			c.topMu.Unlock()
			done()
			return
		}
		t := c.top.Load()
		c.topMu.Unlock()
		done()
		if t.stand() != stood {
			stood = t.stand()
			c.publishAll(t)
		}
		wait := time.Until(at)
		if announced {
			wait = min(wait, deadLook)
			if newest.number != looked {
				looked = newest.number
				c.callOn(newest)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.members.wake:
		case <-c.ctx.Done():
		}
		timer.Stop()
		if c.ctx.Err() != nil {
			return
		}
	}
}

// callOn connects to the nodes that come and go: to the ones because what they can do,
// and which epoch they are in, had better be known by the switch, to the others because a node
// that nobody has talked to lately may be dead.
func (c *Client) callOn(p *placement) {
	joining, leaving := difference(c.top.Load().placement, p)
	for _, n := range append(joining, leaving...) {
		if n.breaker.Writable() && !n.connected() {
			c.group.Go(func() { n.reachable() })
		}
	}
}

// hopeless reports whether waiting has no use: nothing changes but the addresses of nodes that don't answer at the old
// ones. topMu is held.
//
// That a node which leaves is dead is no reason, not even if its keys have no other copy. It may start again at
// once, and a client that has yet to hear of the list loads and deletes its keys there, all copies it knows of, while
// this one would read them on their new owners.
func (c *Client) hopeless(now time.Time) bool {
	m := &c.members
	newest := newestOf(m.now, m.next)
	_, leaving := difference(m.now, newest)
	return len(leaving) > 0 && m.now.ring.Fingerprint() == newest.ring.Fingerprint() &&
		!slices.ContainsFunc(leaving, func(n *node) bool { return !n.deadSince(now.Add(-deadFor)) })
}

// deadSince reports whether the node has not answered since then.
func (n *node) deadSince(then time.Time) bool {
	if n.breaker.Writable() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.foundDead.IsZero() && !n.foundDead.After(then)
}
