package client

import (
	"bytes"
	"context"
	"slices"
	"sync"
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
		c.group.Go(func() { c.publishOn(n) })
	}
}

func (c *Client) publishOn(n *node) {
	if c.cfg.EpochKey == NoEpoch {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.DialTimeout+2*c.cfg.Timeout)
	defer cancel()
	if conn, err := n.conn(ctx, 0); err == nil {
		n.publish(ctx, conn)
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
		v := c.judge(t.stand(), a.Value, time.Duration(a.Resp.TTL)*time.Second)
		if v.good {
			n.sawPublished(published{t.stand(), a.Resp.CAS})
			return
		}
		newer = v.newer
		store.Flags |= memproto.FlagC
		store.CAS = a.Resp.CAS
	} else {
		store.Flags |= memproto.FlagM
		store.Mode = 'E'
	}
	value, ttl, err := c.written(t.stand(), newer)
	if err != nil || len(value) > c.cfg.MaxValueBytes {
		return
	}
	store.Value = value
	if store.Exptime, err = exptime(ttl); err != nil {
		return
	}
	// What becomes of it shows a second later. Who came between has written something as good, or will
	// find that it has not.
	if a, err := n.exchange(ctx, conn, store); err == nil && a.Resp.Status == memproto.StatusHD {
		n.sawPublished(published{t.stand(), a.Resp.CAS})
	}
}

// writtenLists is what was last encoded, and read: the same goes to all nodes.
type writtenLists struct {
	mu       sync.Mutex // guards the rest
	of       stand
	at       time.Time
	value    []byte
	ttl      time.Duration
	verdicts []verdict
}

// written is what a node is to keep: our lists, and newer ones of others.
func (c *Client) written(of stand, newer []listed) (value []byte, ttl time.Duration, err error) {
	w := &c.lists
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(newer) == 0 && w.of == of && time.Since(w.at) < pingInterval {
		return w.value, w.ttl, nil
	}
	now := time.Now()
	c.topMu.Lock()
	l := c.listing(now)
	of = c.top.Load().stand()
	c.topMu.Unlock()
	l.Lists = append(l.Lists, newer...)
	value, err = encodeLists(l, c.cfg.Auth)
	ttl = time.Duration(l.TTL) * time.Second
	if err == nil && len(newer) == 0 {
		w.of, w.at, w.value, w.ttl = of, now, value, ttl
	}
	return value, ttl, err
}

func (n *node) sawPublished(p published) {
	n.mu.Lock()
	n.published = p
	n.mu.Unlock()
}

// verdict is what compare has found of a value that a node keeps.
type verdict struct {
	of    stand
	at    time.Time
	value []byte
	good  bool
	newer []listed
}

// maxVerdicts is how many are remembered: about one for each client that writes at a time.
const maxVerdicts = 4

// judge compares a value with our lists. Who wrote it wrote the same to all nodes, so that most need not be read
// again: with a hundred nodes, and ten changes a second, that would be all a client does.
func (c *Client) judge(of stand, value []byte, left time.Duration) verdict {
	w := &c.lists
	now := time.Now()
	w.mu.Lock()
	w.verdicts = slices.DeleteFunc(w.verdicts, func(v verdict) bool { return v.of != of || now.Sub(v.at) >= pingInterval })
	for _, v := range w.verdicts {
		if bytes.Equal(v.value, value) {
			w.mu.Unlock()
			return v
		}
	}
	w.mu.Unlock()
	v := verdict{of: of, at: now, value: value}
	if theirs, err := decodeLists(value, c.cfg.Auth); err == nil {
		v.good, v.newer = c.compare(&theirs, theirs.age(now, left))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.verdicts) < maxVerdicts {
		w.verdicts = append(w.verdicts, v)
	}
	return v
}

// compare looks at what others have written, age ago. It is good if it has all our lists, in our state or a later
// one, and says the same of nodes that have come back. newer are those after the last one that we know: we may hear of them yet.
func (c *Client) compare(theirs *listing, age time.Duration) (good bool, newer []listed) {
	c.topMu.Lock()
	defer c.topMu.Unlock()
	m := &c.members
	ours := slices.Concat(m.past, []*placement{m.now}, m.next)
	// All of ours have to be there in our order: a list that has come back is another than the one that it equals.
	at, now := len(theirs.Lists), -1
	for _, p := range slices.Backward(ours) {
		if at >= 0 {
			at = theirs.findBefore(at, p.print)
		}
		if p == m.now {
			now = at
		}
	}
	for _, e := range theirs.Lists[theirs.after(ours):] {
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

// after is where the lists begin that follow the newest of ours: of several that equal it, the one before which
// most lists are ours, too. If it is not there, that is after the last that is any of ours.
func (l *listing) after(ours []*placement) int {
	best, most, known := 0, 0, 0
	for i, e := range l.Lists {
		match := 0
		for match < min(i+1, len(ours)) && l.Lists[i-match].Fingerprint == ours[len(ours)-1-match].print {
			match++
		}
		if match > 0 && match >= most {
			best, most = i+1, match
		}
		if slices.ContainsFunc(ours, func(p *placement) bool { return p.print == e.Fingerprint }) {
			known = i + 1
		}
	}
	if most == 0 {
		return known
	}
	return best
}
