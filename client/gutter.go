package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/ring"
)

// Gutter nodes stand in for nodes that are down, for keys of which no copy can be read: a few
// spare machines that hold what is asked for meanwhile, for a short time (Nishtala et al.,
// "Scaling Memcache at Facebook", NSDI 2013, 3.3). Nothing rehashes to the survivors, which
// a single hot key could bring down one after the other.
//
// A key is stored there under the sentinel of the dead node's last epoch and its own name. So what
// was stored during one outage is not found in one after the node has been restarted, and clients
// that agree on who is dead share what they load. No entry lives longer than
// Config.GutterTTL; that bounds what may be stale there, where one client reads from the
// gutter and another, which thinks the node well, deletes from the node alone. A client that
// has seen the outage deletes from both until that long after it.

// DefaultGutterTTL is the longest life of a key on a gutter node.
const DefaultGutterTTL = 10 * time.Second

// openGutter compiles the gutter's placement.
func (c *Client) openGutter() error {
	if len(c.cfg.Gutter) == 0 {
		return nil
	}
	r, err := rings.compile(ring.Config{Nodes: c.cfg.Gutter, Placement: c.cfg.Placement, VirtualNodes: c.cfg.VirtualNodes, KeyTag: c.cfg.KeyTag, Copies: 1})
	if err != nil {
		return configError("Gutter: %w", err)
	}
	if err := c.canVerify(r); err != nil {
		return err
	}
	c.gutter = &placement{ring: r}
	for _, rn := range r.Nodes() {
		n := newNode(c, rn)
		n.spare = true
		c.gutter.nodes = append(c.gutter.nodes, n)
	}
	return c.gutterApart(c.members.now)
}

// gutterApart refuses a list that has a gutter node in it.
func (c *Client) gutterApart(p *placement) error {
	if c.gutter == nil {
		return nil
	}
	for _, spare := range c.gutter.nodes {
		if slices.ContainsFunc(p.nodes, func(n *node) bool { return n.Name == spare.Name || n.Addr == spare.Addr }) {
			return configError("the gutter node %q is one of Nodes, too", spare.Name)
		}
	}
	return nil
}

// everyone are all nodes, those of the gutter included.
func (c *Client) everyone() []*node {
	all := c.top.Load().all
	if c.gutter == nil {
		return all
	}
	return append(append(make([]*node, 0, len(all)+len(c.gutter.nodes)), all...), c.gutter.nodes...)
}

// listed are the nodes that reads go to, those that join, and the gutter's.
func (c *Client) listed() []*node {
	nodes := c.top.Load().wanted()
	if c.gutter == nil {
		return nodes
	}
	return append(slices.Clone(nodes), c.gutter.nodes...)
}

// spare is where a key is on the gutter.
type spare struct {
	n   *node
	key string
}

// spareFor is where key is read and written while none of its copies can be; ok is false if
// one can, or the gutter can't help.
func (c *Client) spareFor(hash uint64, key string) (s spare, ok bool) {
	if c.gutter == nil {
		return s, false
	}
	t := c.top.Load()
	if t.readable(hash) {
		return s, false
	}
	s, ok = c.spareOf(t.owner(hash), hash, key)
	return s, ok && s.n.breaker.Readable() && !s.n.debt.Blocks(s.key)
}

// readable reports whether a copy of the key is up.
func (t *topology) readable(hash uint64) bool {
	for _, i := range t.ring.LookupHash(hash) {
		if t.nodes[i].breaker.Readable() {
			return true
		}
	}
	return false
}

// between reports whether a read that has failed with err fell between two stools: no copy was up when it looked, and one
// was when it went to the gutter, which is not asked then. It is to be made once more; each time a node has come up since.
func (c *Client) between(hash uint64, err error) bool {
	return errors.As(err, new(allDown)) && c.top.Load().readable(hash)
}

// spareOf is where key is while its owner is down; ok is false if it can't be anywhere.
func (c *Client) spareOf(owner *node, hash uint64, key string) (s spare, ok bool) {
	owner.mu.Lock()
	sentinel := owner.sentinel
	owner.mu.Unlock()
	s = spare{c.gutter.owner(hash), sentinel + ":" + key}
	return s, sentinel != "" && c.CheckKey(s.key) == nil
}

// spareToTell is where else a delete of key has to go: to the gutter, if the owner is down or has
// been lately.
func (c *Client) spareToTell(hash uint64, key string) (s spare, ok bool) {
	if c.gutter == nil {
		return s, false
	}
	owner := c.top.Load().owner(hash)
	if owner.breaker.Readable() && time.Since(owner.lastDown()) > c.cfg.GutterTTL+hold {
		return s, false
	}
	return c.spareOf(owner, hash, key)
}

// lastDown is when the node was last kept from reads, the zero time if it never was.
func (n *node) lastDown() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.upSince.After(n.downSince) {
		return n.upSince
	}
	return n.downSince
}

// forSpare makes the set of a key that of its spare: under another key, and for a shorter life.
func (c *Client) forSpare(req *memproto.Request, s spare) {
	req.Flags &^= memproto.FlagLb
	setKey(req, s.key)
	most, err := memproto.Exptime(c.cfg.GutterTTL, time.Now())
	if err != nil || req.Flags.Has(memproto.FlagT) && (req.Exptime < 0 || req.Exptime != 0 && req.Exptime < most) {
		return
	}
	req.Flags |= memproto.FlagT
	req.Exptime = most
}

// getSpare reads key from the gutter; ok is false if that could not be asked.
func (c *Client) getSpare(ctx context.Context, op string, hash uint64, key string) (it item.Item, ok bool, err error) {
	s, ok := c.spareFor(hash, key)
	if !ok {
		return it, false, nil
	}
	a, err := c.readCopy(ctx, op, s.n, s.key)
	if err != nil {
		return it, false, nil
	}
	c.counters.gutterReads.Add(1)
	if !valid(&a) {
		c.counters.misses.Add(1)
		return it, true, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	it = itemOf(key, &a)
	it.CAS, it.TTL = 0, 0 // its life there is cut short
	return it, true, nil
}

// leaseSpare is Lease on the gutter; false if that could not be asked.
func (c *Client) leaseSpare(ctx context.Context, op string, hash uint64, l *item.Lease, o *item.LeaseOptions) bool {
	s, ok := c.spareFor(hash, l.Key)
	if !ok {
		return false
	}
	read := c.leaseRead(min(max(o.TTL, minLeaseTTL), c.cfg.GutterTTL), getFlags|memproto.FlagLc)
	f, err := s.n.askLease(ctx, op, s.key, read)
	if err != nil {
		return false
	}
	defer f.call.Free()
	c.counters.gutterReads.Add(1)
	a := &f.call.Answer
	won := a.Resp.Flags.Has(memproto.FlagW)
	switch {
	case valid(a):
		if won {
			postHandBack(f.conn, s.key, a.Resp.CAS, false)
		}
		l.Item, l.Level = itemOf(l.Key, a), item.FromNode
		// Its life there is cut short and says nothing of the value's age.
		l.Item.CAS, l.Item.TTL = 0, 0
		c.counters.nodeHits.Add(1)
		return true
	case !isStub(a) || a.Resp.CAS == 0:
		l.State = item.LeaseNone
	case won:
		l.State = item.LeaseWon
		l.Gutter = s.key
		l.Tokens = []item.Token{{Version: item.Version{Node: s.n.Name, Life: f.life}, CAS: a.Resp.CAS, Kind: item.TokenStub, Won: true}}
		c.counters.leasesWon.Add(1)
	default:
		l.State = item.LeaseWait
	}
	c.counters.misses.Add(1)
	return true
}

// fillSpare fills a lease that was won on the gutter. It is refused if the node is back: its
// readers would not see the value, and a delete need not reach it.
func (c *Client) fillSpare(ctx context.Context, op string, l item.Lease, req memproto.Request) (item.Outcome, error) {
	out := item.Outcome{Copies: 1}
	if len(l.Tokens) != 1 {
		return out, c.leaseLost(op, "")
	}
	tok := l.Tokens[0]
	s, ok := c.spareFor(c.top.Load().ring.Hash(l.Key), l.Key)
	if !ok || s.key != l.Gutter || s.n.Name != tok.Node || s.n.life.Load() != tok.Life {
		c.giveBack(&l)
		return out, c.leaseLost(op, tok.Node)
	}
	c.forSpare(&req, s)
	f := s.n.launch(ctx, op, s.n.storeUnder(&req, tok))
	if _, err := f.wait(ctx); err != nil {
		s.n.orphanWin(s.key, tok)
		return out, err
	}
	defer f.call.Free()
	if err := f.refusal(); err != nil {
		out.Refused++
		return out, err
	}
	if f.call.Resp.Status != memproto.StatusHD {
		out.Refused++
		return out, c.leaseLost(op, tok.Node)
	}
	out.Confirmed++
	return out, nil
}

// setSpare stores on the gutter what no copy can be read for. Copies that have not heard of the
// write are owed a delete then, for it has happened. False means that nothing is known to be stored there, and
// what was is deleted.
func (c *Client) setSpare(ctx context.Context, w *writing, hash uint64, it *item.Item, exptime int64) bool {
	s, ok := c.spareFor(hash, w.key)
	if !ok {
		c.tellSpare(ctx, w.op, hash, w.key)
		return false
	}
	var req memproto.Request
	makeStore(&req, it, exptime)
	c.forSpare(&req, s)
	// What is not heard of is owed: an older value may be there.
	there := writing{c: c, op: w.op, key: s.key, always: true}
	there.sendAll(ctx, []*node{s.n}, &req)
	if there.unheard() || there.out.Refused > 0 {
		return false
	}
	for _, n := range w.unsent {
		w.out.Owed++
		n.owe(w.key, false)
	}
	w.unsent = nil
	if there.out.Confirmed == 0 || there.conflict {
		w.errs = append(w.errs, there.errs...) // it may be there
		return false
	}
	w.out.Gutter = true
	c.counters.gutterWrites.Add(1)
	return true
}

// tellSpare deletes key from the gutter, if it may be there. A gutter node that doesn't hear of it is owed it.
func (c *Client) tellSpare(ctx context.Context, op string, hash uint64, key string) {
	if s, ok := c.spareToTell(hash, key); ok {
		w := writing{c: c, op: op, key: s.key, always: true}
		w.deleteAll(ctx, []*node{s.n}, s.key)
	}
}

// tellSpares is tellSpare for many keys.
func (c *Client) tellSpares(ctx context.Context, op string, keys []string) {
	if c.gutter == nil {
		return
	}
	var ts []target
	stamped := make([]string, len(keys))
	r := c.top.Load().ring
	for i, key := range keys {
		if s, ok := c.spareToTell(r.Hash(key), key); ok {
			stamped[i] = s.key
			ts = append(ts, target{s.n, i})
		}
	}
	if len(ts) == 0 {
		return
	}
	d := newBatchDelete(c, op, nil, stamped)
	d.send(ctx, ts)
}

// getSpares asks the gutter for the keys that no copy could be asked for.
func (g *multiGet) getSpares(ctx context.Context) {
	var ts []target
	stamped := map[int]string{}
	for i := range g.asks {
		a := &g.asks[i]
		if !a.open {
			continue
		}
		if s, ok := g.c.spareFor(a.hash, a.key); ok {
			stamped[i] = s.key
			ts = append(ts, target{s.n, i})
		}
	}
	if len(ts) == 0 {
		return
	}
	b := batch{c: g.c, op: g.op,
		request: func(i int, k *pipe.Call) { k.Req = readRequest(stamped[i]) },
		allowed: func(n *node) bool { return n.breaker.Readable() },
		each: func(t target, f *flight, _ bool, err error) {
			if err != nil {
				return
			}
			a, answer := &g.asks[t.i], &f.call.Answer
			a.open = false
			g.c.counters.gutterReads.Add(1)
			if answer.Resp.Flags.Has(memproto.FlagW) {
				g.c.handBack(ctx, f, answer, stamped[t.i])
			}
			if !valid(answer) {
				g.misses++
				return
			}
			g.hits++
			g.found = itemOf(a.key, answer)
			g.found.TTL = 0
			g.give(&g.found)
		},
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateRead{}, func(i int) string { return stamped[i] }
	}
	b.run(ctx, ts)
}

// between is Client.between for many: whether a key that has no answer has a copy that is up.
func (g *multiGet) between() bool {
	return slices.ContainsFunc(g.asks, func(a ask) bool { return a.open && g.t.readable(a.hash) })
}
