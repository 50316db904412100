package client

import (
	"context"
	"errors"
	"slices"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// SetMulti stores items on all their copies, pipelined over all nodes at once. It
// returns the outcome of each by position, and an error that joins the failures, one
// per node, if any item was confirmed by fewer than Config.MinWriteAcks copies. Bad
// input among the items is found before anything is sent. The rules of Set apply to
// each.
func (c *Client) SetMulti(ctx context.Context, items []item.Item) ([]item.Outcome, error) {
	const op = "set"
	reqs := make([]memproto.Request, len(items))
	var expired []bool // nil for none
	for i, it := range items {
		var err error
		if err = c.storeRequest(op, &it, &reqs[i]); err != nil {
			return nil, err
		}
		if err := c.check(ctx, op, it.Key); err != nil {
			return nil, err
		}
		if reqs[i].Exptime == memproto.ExptimeExpired {
			if expired == nil {
				expired = make([]bool, len(items))
			}
			expired[i] = true
		}
	}
	if err := c.checkCall(ctx, op); err != nil {
		return nil, err
	}
	if expired != nil {
		return c.setSomeExpired(ctx, op, items, expired)
	}
	c.counters.sets.Add(uint64(len(items)))
	t := c.top.Load()
	s := &multiSet{c: c, op: op, items: items, outcomes: make([]item.Outcome, len(items)), failed: map[string]error{}}
	var ts []target
	var before, after [][]target
	into := func(ts []target, nodes []*node, i int) []target {
		for _, n := range nodes {
			ts = append(ts, target{n, i})
		}
		return ts
	}
	for i, it := range items {
		hash := t.ring.Hash(it.Key)
		c.near.Drop(hash, it.Key)
		var mem [maxCopies]*node
		ts = into(ts, t.copies(hash, mem[:0]), i)
		left, announced := t.strays(hash)
		if t.returned(hash) {
			left = t.stages(hash, nil, nil)
		}
		before, after = staged(before, left, i), staged(after, announced, i)
	}
	s.strays(ctx, before)
	if c.gutter != nil {
		keys := make([]string, len(items))
		for i, it := range items {
			keys[i] = it.Key
		}
		c.tellSpares(ctx, op, keys)
	}
	b := batch{c: c, op: op, each: s.answer,
		request: func(i int, k *pipe.Call) { k.Req = reqs[i] },
		allowed: func(n *node) bool { return n.breaker.Writable() },
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateWrite{}, func(i int) string { return items[i].Key }
	}
	b.run(ctx, ts)
	s.strays(ctx, after)
	s.catchUp(ctx, t)
	if c.gutter != nil {
		s.setAgain(ctx, b)
		s.setSpares(ctx, t, reqs)
	}
	err := s.finish()
	for _, it := range items {
		c.wrote(t.ring.Hash(it.Key), it.Key)
	}
	return s.outcomes, err
}

type multiSet struct {
	c        *Client
	op       string
	items    []item.Item
	outcomes []item.Outcome
	failed   map[string]error
	unsent   []target
	maybe    map[int]bool // by position: whether the gutter may have it, which nobody knows
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

// staged adds the groups of nodes of the i-th key to those of all.
func staged(stages [][]target, groups [][]*node, i int) [][]target {
	for at, nodes := range groups {
		if at == len(stages) {
			stages = append(stages, nil)
		}
		for _, n := range nodes {
			stages[at] = append(stages[at], target{n, i})
		}
	}
	return stages
}

// strays deletes keys on nodes that are none of their copies now, but were or will be, each key's in its order.
func (s *multiSet) strays(ctx context.Context, stages [][]target) {
	if len(stages) == 0 {
		return
	}
	d := batchDelete{c: s.c, op: s.op, keys: make([]string, len(s.items)), outcomes: make([]item.Outcome, len(s.items)), failed: s.failed}
	for i, it := range s.items {
		d.keys[i] = it.Key
	}
	for _, ts := range stages {
		d.send(ctx, ts)
	}
	for i, o := range d.outcomes {
		s.outcomes[i].Copies += o.Owed
		s.outcomes[i].Owed += o.Owed
	}
}

// catchUp is that of a single write (write.go), for many.
func (s *multiSet) catchUp(ctx context.Context, t *topology) {
	for now := s.c.top.Load(); now != t; now = s.c.top.Load() {
		var ts []target
		for i, it := range s.items {
			for _, n := range now.news(t, t.ring.Hash(it.Key)) {
				ts = append(ts, target{n, i})
			}
		}
		if len(ts) > 0 {
			s.strays(ctx, [][]target{ts})
		}
		t = now
	}
}

// setAgain sends what was not sent because its node was down, and could be now: the gutter does not take it then.
func (s *multiSet) setAgain(ctx context.Context, b batch) {
	var ts []target
	s.unsent = slices.DeleteFunc(s.unsent, func(t target) bool {
		up := t.n.breaker.Writable()
		if up {
			ts = append(ts, t)
			s.outcomes[t.i].Copies--
		}
		return up
	})
	b.each = s.answer
	b.run(ctx, ts)
}

// setSpares stores on the gutter what no copy can be read for: see setSpare. What was there has been deleted.
func (s *multiSet) setSpares(ctx context.Context, t *topology, reqs []memproto.Request) {
	var ts []target
	stamped := map[int]string{}
	for i, it := range s.items {
		if sp, ok := s.c.spareFor(t.ring.Hash(it.Key), it.Key); ok {
			s.c.forSpare(&reqs[i], sp)
			stamped[i] = sp.key
			ts = append(ts, target{sp.n, i})
		}
	}
	if len(ts) == 0 {
		return
	}
	s.maybe = map[int]bool{}
	b := batch{c: s.c, op: s.op,
		request: func(i int, k *pipe.Call) { k.Req = reqs[i] },
		allowed: func(n *node) bool { return n.breaker.Writable() },
		each: func(t target, f *flight, left bool, err error) {
			if err != nil && !item.SafeToRetry(err) {
				note(s.failed, t.n, err) // it may be there
				s.maybe[t.i] = true
			}
			switch {
			case left:
				t.n.debt.Flight(stamped[t.i], 1)
			case err != nil && !answered(err):
				t.n.owe(stamped[t.i], !item.SafeToRetry(err)) // an older value may be there
			case err == nil && f.call.Resp.Status == memproto.StatusHD:
				s.outcomes[t.i].Gutter = true
				s.c.counters.gutterWrites.Add(1)
			}
		},
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateWrite{}, func(i int) string { return stamped[i] }
	}
	b.run(ctx, ts)
}

// finish books the copies that heard nothing of a write that others heard.
func (s *multiSet) finish() error {
	for _, t := range s.unsent {
		o := &s.outcomes[t.i]
		if o.Confirmed+o.Refused+o.Owed > 0 || o.Gutter || s.maybe[t.i] {
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
		done = done || o.Confirmed+o.Refused > 0 || o.Gutter
		if o.Confirmed < c.cfg.MinWriteAcks && !o.Gutter {
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
