package client

import (
	"context"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// published is what a client knows of the lists that a node keeps. The node's mu guards it.
type published struct {
	of  stand  // when it has seen to them
	cas uint64 // of the value that was right then
}

// stand tells one state of the lists, and of nodes that have come back, from another.
type stand struct {
	now, newest uint64
	past        int
	missing     int
}

func (t *topology) stand() stand {
	return stand{t.number, newestOf(t.placement, t.next).number, len(t.past), len(t.missing())}
}

// same reports whether two snapshots are of the same lists.
func (t *topology) same(as *topology) bool {
	return t == as || t.number == as.number && len(t.past) == len(as.past) &&
		newestOf(t.placement, t.next).number == newestOf(as.placement, as.next).number
}

// publishAll has all nodes keep the lists that t is of, as far as they can be reached.
func (c *Client) publishAll(t *topology) {
	if c.cfg.EpochKey == NoEpoch || !t.moving() {
		return
	}
	for _, n := range t.all {
		if !n.breaker.Writable() {
			continue
		}
		c.group.Go(func() {
			ctx, cancel := context.WithTimeout(c.ctx, c.cfg.DialTimeout+2*c.cfg.Timeout)
			defer cancel()
			if conn, err := n.conn(ctx, 0); err == nil {
				n.publish(ctx, conn)
			}
		})
	}
}

// publish sees to the lists on one node while a change is under way: it writes them if they are missing, or
// lack one. Newer ones, of a change that this client has yet to hear of, it keeps for as long as that may take.
func (n *node) publish(ctx context.Context, conn *pipe.Conn) {
	c := n.c
	t := c.top.Load()
	can := n.can.Load()
	if !t.moving() || can == nil || can.tier == Tier0 {
		return
	}
	key := memproto.StringBytes(c.cfg.EpochKey + listsSuffix)
	n.mu.Lock()
	seen := n.published
	n.mu.Unlock()
	a, err := n.exchange(ctx, conn, memproto.Request{Cmd: memproto.CmdMetaGet, Key: key, Flags: memproto.FlagLc})
	if err != nil || a.Resp.Status == memproto.StatusHD && seen.of == t.stand() && seen.cas == a.Resp.CAS {
		return
	}
	var newer []listed
	store := memproto.Request{Cmd: memproto.CmdMetaSet, Key: key, Flags: memproto.FlagF | memproto.FlagT | memproto.FlagLc, ClientFlags: item.FlagZero}
	if a.Resp.Status == memproto.StatusHD {
		a, err = n.exchange(ctx, conn, memproto.Request{Cmd: memproto.CmdMetaGet, Key: key, Flags: memproto.FlagLv | memproto.FlagLc | memproto.FlagLt})
		if err != nil || a.Resp.Status != memproto.StatusVA {
			return
		}
		if theirs, err := decodeLists(a.Value, c.cfg.Auth); err == nil {
			good := false
			if good, newer = c.compare(&theirs, theirs.age(time.Now(), time.Duration(a.Resp.TTL)*time.Second)); good {
				n.sawPublished(published{t.stand(), a.Resp.CAS})
				return
			}
		}
		store.Flags |= memproto.FlagC
		store.CAS = a.Resp.CAS
	} else {
		store.Flags |= memproto.FlagM
		store.Mode = 'E'
	}
	c.topMu.Lock()
	l := c.listing(time.Now())
	c.topMu.Unlock()
	l.Lists = append(l.Lists, newer...)
	if store.Value, err = encodeLists(l, c.cfg.Auth); err != nil || len(store.Value) > c.cfg.MaxValueBytes {
		return
	}
	store.Exptime, err = exptime(time.Duration(l.TTL) * time.Second)
	if err != nil {
		return
	}
	// What becomes of it shows a second later. Who came between has written something as good, or will
	// find that it has not.
	if a, err := n.exchange(ctx, conn, store); err == nil && a.Resp.Status == memproto.StatusHD {
		n.sawPublished(published{t.stand(), a.Resp.CAS})
	}
}

func (n *node) sawPublished(p published) {
	n.mu.Lock()
	n.published = p
	n.mu.Unlock()
}

// compare looks at what others have written, age ago. It is good if it has all our lists, in our state or a later
// one, and says the same of nodes that have come back. newer are those after the last one that we know: we may hear of them yet.
func (c *Client) compare(theirs *listing, age time.Duration) (good bool, newer []listed) {
	c.topMu.Lock()
	defer c.topMu.Unlock()
	m := &c.members
	last := -1
	// All of ours have to be there in our order: a list that has come back is another than the one that it equals.
	at, now := len(theirs.Lists), -1
	for _, p := range slices.Backward(slices.Concat(m.past, []*placement{m.now}, m.next)) {
		last = max(last, theirs.find(p.printed()))
		if at >= 0 {
			at = theirs.findBefore(at, p.printed())
		}
		if p == m.now {
			now = at
		}
	}
	for _, e := range theirs.Lists[last+1:] {
		e.Learned += age.Milliseconds()
		if e.Learned < 2*c.cfg.announce().Milliseconds() {
			newer = append(newer, e)
		}
	}
	held := c.top.Load().missing()
	agreed := len(held) == len(theirs.Missing)
	for _, e := range theirs.Missing {
		agreed = agreed && slices.ContainsFunc(held, func(n *node) bool { return n.Addr == e.Addr })
	}
	return at >= 0 && theirs.Now >= now && agreed, newer
}
