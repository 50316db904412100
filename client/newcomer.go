package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
)

// What a process does that has started while the fleet changes. It finds its own list among those that the node
// keeps.
//
// If that is in force, those before it are past: what its nodes miss is looked for there, and deletes go there
// first.
//
// If it is announced, or past, reads go by the one that is in force, and switch when the others' do, or
// when it has been announced by this process for as long.
//
// If it is not among them, the others may have yet to hear of it: it looks again while it is young and sees that they
// place keys differently. Or the lists are another service's: they are left alone, and the comparison of
// placements says so if that stays (agree.go).

// errMissing is why the first connection to a node is not used.
var errMissing = errors.New("memherd: the node has come back to the fleet and has missed changes")

// barred reports whether reads keep away from the node because it has missed changes.
func (n *node) barred() bool { return n.missing.Load() && !n.breaker.Readable() }

// young reports whether the client may have started after a change that others still remember.
func (c *Client) young() bool { return time.Since(c.born) <= 2*c.cfg.announce() }

// told takes what a node keeps for lists, of whose life so much is left. What are none are none.
func (c *Client) told(value []byte, left time.Duration) {
	if l, err := decodeLists(value, c.cfg.Auth); err == nil {
		c.inform(l, l.age(time.Now(), left))
	}
}

// consult reads the lists for a client that has been at work, but not for long.
func (n *node) consult(ctx context.Context, conn *pipe.Conn) {
	c := n.c
	if !c.young() {
		return
	}
	key := memproto.StringBytes(c.cfg.EpochKey + listsSuffix)
	a, err := n.exchange(ctx, conn, memproto.Request{Cmd: memproto.CmdMetaGet, Key: key, Flags: memproto.FlagLv | memproto.FlagLt})
	if err == nil && a.Resp.Status == memproto.StatusVA {
		c.told(a.Value, time.Duration(a.Resp.TTL)*time.Second)
	}
}

// askOthers has the other nodes tell what they keep for lists, because n keeps none, and not even a sentinel until now: it has just
// started, so that its silence says nothing of the fleet. Nobody uses n before that, but for no longer than
// it takes to find out that the others are dead. Two nodes don't wait for each other: who
// asks has been consulted.
func (c *Client) askOthers(ctx context.Context, n *node) {
	if !c.young() {
		return // it has heard of all changes itself
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.cfg.Timeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, other := range c.top.Load().all {
		if other != n && !other.spare && !other.consulted.Load() && other.breaker.Writable() {
			wg.Go(func() { _, _ = other.conn(ctx, 0) })
		}
	}
	wg.Wait()
}

// inform takes what others have written of the fleet's lists, age ago, for what it says.
func (c *Client) inform(l listing, age time.Duration) {
	c.topMu.Lock()
	defer c.topMu.Unlock()
	m := &c.members
	defer c.tellReturned()
	at := l.find(m.now.print)
	if at < 0 || c.closed {
		return
	}
	now := time.Now()
	ago := func(ms int64) time.Time {
		if ms < 0 {
			return time.Time{}
		}
		return now.Add(-age - time.Duration(ms)*time.Millisecond)
	}
	// The list in force is another than the one that this client has started with: it goes back to that. Its own counts as
	// announced, when the others were told, or now if they have left it: then it is late itself, or they have heard
	// of it again and have yet to say so. It may have heard of newer ones before it first met a node.
	other := at != l.Now && m.now.number == firstNumber && len(m.past) == 0
	before := l.Lists[:at]
	if other && at < l.Now {
		before = l.Lists
	}
	known := func(print string, learned time.Time) bool {
		return slices.ContainsFunc(append(slices.Clone(m.past), m.now), func(p *placement) bool { return p.print == print && !(other && p == m.now) }) ||
			// One that is announced here may have been in force before, and come back: no client learns of a list more than half of Announce
			// before or after another.
			slices.ContainsFunc(m.next, func(p *placement) bool { return p.print == print && learned.After(p.learned.Add(-c.cfg.announce())) })
	}
	var past, next []*placement
	var force *placement
	var entering []func()
	nodes, met := c.top.Load().all, len(c.top.Load().all)
	for i, e := range before {
		if known(e.Fingerprint, ago(e.Learned)) || m.forgotten.has(e.Fingerprint, ago(e.Learned), c.cfg.announce()) {
			continue
		}
		p, err := c.newPlacement(e.Nodes, nodes)
		if err != nil || p.print != e.Fingerprint || len(before) > maxLists {
			return // somebody's who places keys differently
		}
		p.number = m.now.number - uint64(len(before)-i)
		p.learned, p.left, p.settled, p.doubtful = ago(e.Learned), ago(e.Left), ago(e.Settled), ago(e.Doubtful)
		p.seen = e.Seen
		p.keep()
		met := nodes
		entering = append(entering, func() { c.enter(p, met) })
		for _, n := range p.nodes {
			if !slices.Contains(nodes, n) {
				nodes = append(slices.Clip(nodes), n)
			}
		}
		switch {
		case other && i > l.Now:
			next = append(next, p)
		case other && i == l.Now:
			force, p.left, p.settled, p.doubtful = p, time.Time{}, time.Time{}, time.Time{}
		default:
			if p.left.IsZero() {
				p.left = now
			}
			past = append(past, p)
		}
	}
	for _, enter := range entering {
		enter()
	}
	// Of nodes that came back before this client started it has to be told; later it sees so itself.
	if c.young() {
		for _, e := range l.Missing {
			for _, n := range nodes {
				if n.Addr == e.Addr && !n.missing.Load() {
					c.readmitted(n, departure{at: ago(e.Since)})
				}
			}
		}
	}
	if force == nil && len(past) == 0 {
		return
	}
	for _, n := range nodes[met:] {
		c.journal.adopt(n, true)
	}
	if force != nil {
		if at > l.Now {
			m.now.learned = ago(l.Lists[at].Learned)
		}
		m.switched = ago(l.Lists[l.Now].Since)
		m.now, m.next = force, append(append(next, m.now), m.next...)
	}
	m.past = append(past, m.past...)
	slices.SortStableFunc(m.past, func(a, b *placement) int { return cmp.Compare(a.number, b.number) })
	c.returned()
	if !m.running {
		m.running = c.group.Go(c.runChanges)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	c.cold.nodes.Add(1) // see advance
	done := c.advance(now, false)
	c.cold.nodes.Add(1)
	c.group.Go(func() {
		done()
		for _, n := range nodes[met:] {
			if !slices.Contains(c.top.Load().all, n) {
				c.depart(n) // of a list that is over already
			}
		}
	})
}

// maxLists bounds the lists that are taken over.
const maxLists = 2 * (maxUnsettled + maxAnnounced)

// ownerOf is where a read-modify-write of a key goes, and the snapshot that says so. It connects to the owner first
// if that has never been done: what it knows of the fleet's lists this client has to know before it does
// there what can't be undone. It waits for that no longer than ctx allows.
func (c *Client) ownerOf(ctx context.Context, key string, mem []*node) (t *topology, hash uint64, copies []*node) {
	for {
		t = c.top.Load()
		hash = t.ring.Hash(key)
		copies = t.copies(hash, mem[:0])
		owner := c.ownerFirst(copies, key)
		if owner.can.Load() != nil || !owner.breaker.Writable() {
			return t, hash, copies
		}
		if _, err := owner.conn(ctx, 0); err != nil {
			return t, hash, copies
		}
	}
}
