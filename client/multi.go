package client

import (
	"context"
	"errors"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// GetMulti returns the items of keys that are in the cache, by key, pipelined over
// all nodes at once. Missing keys are missing from the map. Keys whose home copy
// fails are asked from their next copy; if some could not be read anywhere, the
// error joins the failures, one per node, and the map still holds what was found:
// a key that is absent beside a nil error is a miss. Duplicates are asked once.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]item.Item, error) {
	const op = "get"
	for _, key := range keys {
		if err := c.check(ctx, op, key); err != nil {
			return nil, err
		}
	}
	if err := c.checkCall(ctx, op); err != nil {
		return nil, err
	}
	g := multiGet{c: c, op: op, t: c.top.Load(), found: make(map[string]item.Item, len(keys)), failed: map[string]error{}}
	g.admit(keys)
	// Each round asks every key still open from the next of its copies.
	for range g.t.ring.Copies() {
		if !g.round(ctx) {
			break
		}
	}
	// As for one key: a copy that was passed over may be up now.
	for i := range g.next {
		g.next[i] = 0
	}
	for range g.t.ring.Copies() {
		if !g.skipped || !g.round(ctx) {
			break
		}
	}
	return g.found, g.err(ctx)
}

type multiGet struct {
	c      *Client
	op     string
	t      *topology
	keys   []string
	hashes []uint64
	gens   []uint64
	next   []int  // by key: which of its copies is asked next
	open   []bool // by key: not answered yet
	barred []bool // by key: some copy may not be read because of what it is owed
	found  map[string]item.Item
	failed map[string]error

	skipped bool // some copy was passed over because its node was down
}

// admit takes the keys that memory can't serve.
func (g *multiGet) admit(keys []string) {
	seen := make(map[string]struct{}, len(keys))
	for _, key := range keys {
		if _, dup := seen[key]; dup {
			continue
		}
		seen[key] = struct{}{}
		hash := g.t.ring.Hash(key)
		if v, ok := g.c.near.Get(hash, key); ok {
			g.c.detector.Observe(hash, key, len(v.Bytes))
			g.found[key] = item.Item{Key: key, Value: v.Bytes, Flags: v.Flags}
			continue
		}
		g.keys = append(g.keys, key)
		g.hashes = append(g.hashes, hash)
		g.gens = append(g.gens, g.c.near.Generation(hash))
		g.open = append(g.open, true)
	}
	g.next = make([]int, len(g.keys))
	g.barred = make([]bool, len(g.keys))
}

// round sends one request for every open key that has a copy left to ask; false when
// there was none.
func (g *multiGet) round(ctx context.Context) bool {
	var ts []target
	for i, key := range g.keys {
		if !g.open[i] {
			continue
		}
		list := g.t.ring.LookupHash(g.hashes[i])
		for g.next[i] < len(list) {
			n := g.t.nodes[list[g.next[i]]]
			g.next[i]++
			if n.debt.Blocks(key) {
				g.barred[i] = true
				continue
			}
			if !n.breaker.Readable() {
				g.skipped = true
				if g.failed[n.Name] == nil {
					g.failed[n.Name] = &item.Error{Op: g.op, Node: n.Name, Sent: item.NotSent, Err: item.ErrNodeDown}
				}
				continue
			}
			ts = append(ts, target{n, i})
			break
		}
	}
	if len(ts) == 0 || !g.c.retriable(ctx) {
		return false
	}
	b := batch{c: g.c, op: g.op, each: func(t target, f *flight, _ bool, err error) { g.answer(ctx, t, f, err) },
		request: func(i int, k *pipe.Call) {
			k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Flags: getFlags}
			setKey(&k.Req, g.keys[i])
		},
		allowed: func(n *node) bool { return n.breaker.Readable() },
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateRead{}, func(i int) string { return g.keys[i] }
	}
	b.run(ctx, ts)
	return true
}

func (g *multiGet) answer(ctx context.Context, t target, f *flight, err error) {
	if err != nil {
		note(g.failed, t.n, err)
		if g.next[t.i] < g.t.ring.Copies() {
			g.c.counters.failovers.Add(1)
			g.c.cfg.Hooks.failover(g.op, t.n.Name, err)
		}
		return
	}
	key, k := g.keys[t.i], f.call
	g.open[t.i] = false
	if k.Resp.Flags.Has(memproto.FlagW) {
		g.c.handBack(ctx, *f, key)
	}
	if k.Resp.Status != memproto.StatusVA || isStub(k) {
		g.c.detector.Observe(g.hashes[t.i], key, 0)
		g.c.counters.misses.Add(1)
		return
	}
	g.c.counters.nodeHits.Add(1)
	g.c.observe(*f, g.hashes[t.i], key, g.gens[t.i])
	g.found[key] = itemOf(key, k)
}

// err is nil when every key was answered: a failure that another copy made good is
// no failure, and neither is a key that no copy may be read for: see readHome.
func (g *multiGet) err(ctx context.Context) error {
	lost := false
	for i := range g.keys {
		switch {
		case !g.open[i]:
		case g.barred[i] && g.c.retriable(ctx):
			g.c.counters.misses.Add(1)
		default:
			lost = true
		}
	}
	if !lost {
		return nil
	}
	g.c.counters.readErrors.Add(1)
	if len(g.failed) == 0 {
		return g.c.checkCall(ctx, g.op) // it ended before anything was sent
	}
	return joinByNode(g.failed)
}

// SetMulti stores items on all their copies, pipelined over all nodes at once. It
// returns the outcome of each by position, and an error that joins the failures, one
// per node, if any item was confirmed by fewer than Config.MinWriteAcks copies. Bad
// input among the items is found before anything is sent. The rules of Set apply to
// each.
func (c *Client) SetMulti(ctx context.Context, items []item.Item) ([]item.Outcome, error) {
	const op = "set"
	reqs := make([]memproto.Request, len(items))
	for i, it := range items {
		var err error
		if reqs[i], err = c.storeRequest(op, it); err != nil {
			return nil, err
		}
		if err := c.check(ctx, op, it.Key); err != nil {
			return nil, err
		}
	}
	if err := c.checkCall(ctx, op); err != nil {
		return nil, err
	}
	c.counters.sets.Add(uint64(len(items)))
	t := c.top.Load()
	s := multiSet{c: c, op: op, items: items, outcomes: make([]item.Outcome, len(items)), failed: map[string]error{}}
	var ts []target
	for i, it := range items {
		c.near.Drop(t.ring.Hash(it.Key), it.Key)
		for _, at := range t.ring.Lookup(it.Key) {
			ts = append(ts, target{t.nodes[at], i})
		}
	}
	b := batch{c: c, op: op, each: s.answer,
		request: func(i int, k *pipe.Call) { k.Req = reqs[i] },
		allowed: func(n *node) bool { return n.breaker.Writable() },
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateWrite{}, func(i int) string { return items[i].Key }
	}
	b.run(ctx, ts)
	for _, it := range items {
		c.near.Drop(t.ring.Hash(it.Key), it.Key)
	}
	return s.outcomes, s.finish()
}

type multiSet struct {
	c        *Client
	op       string
	items    []item.Item
	outcomes []item.Outcome
	failed   map[string]error
	unsent   []target
}

func (s *multiSet) answer(t target, _ *flight, left bool, err error) {
	o := &s.outcomes[t.i]
	o.Copies++
	if err != nil {
		note(s.failed, t.n, err)
	}
	switch {
	case left:
		t.n.debt.Flight(s.items[t.i].Key, 1)
		o.Owed++
	case err == nil:
		o.Confirmed++
	case answered(err):
		o.Refused++
	case item.SafeToRetry(err):
		s.unsent = append(s.unsent, t)
	default:
		o.Owed++
		t.n.owe(s.items[t.i].Key, true)
	}
}

// finish books the copies that heard nothing of a write that others heard.
func (s *multiSet) finish() error {
	for _, t := range s.unsent {
		o := &s.outcomes[t.i]
		if o.Confirmed+o.Refused+o.Owed > 0 {
			o.Owed++
			t.n.owe(s.items[t.i].Key, false)
		}
	}
	return s.c.acksError(s.op, s.outcomes, s.failed)
}

// acksError is the error of a multi-key write: nil if each key was confirmed by enough
// copies, else the nodes' failures.
func (c *Client) acksError(op string, outcomes []item.Outcome, failed map[string]error) error {
	short, few, done := false, false, false
	for _, o := range outcomes {
		done = done || o.Confirmed+o.Refused > 0
		if o.Confirmed < c.cfg.MinWriteAcks {
			short = true
			few = few || o.Confirmed > 0
		}
	}
	if !short {
		return nil
	}
	c.counters.errors.Add(1)
	err := joinByNode(failed)
	switch {
	case few:
		return errors.Join(&item.Error{Op: op, Err: item.ErrTooFewAcks}, err)
	case done:
		return partly(op, err)
	}
	return err
}
