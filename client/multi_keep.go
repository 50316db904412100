package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// FillKeepMulti is FillKeep of many leases, each of another key, with the items by their
// side, whose keys may be left empty: one pipelined batch of requests to each node for the other
// copies, then one for the home copies. The new leases, outcomes and errors are in that order, too.
func (c *Client) FillKeepMulti(ctx context.Context, leases []item.Lease, items []item.Item) ([]item.Lease, []item.Outcome, []error) {
	plan := plans.Get().(*plan)
	defer plan.done()
	m := multiKeep{c: c, ctx: ctx, t: c.top.Load(), leases: leases, items: items, plan: plan,
		kept: make([]item.Lease, len(leases)), outs: make([]item.Outcome, len(leases)), errs: make([]error, len(leases))}
	m.reqs = append(m.reqs, make([]memproto.Request, len(leases))...)
	m.ws = append(m.ws, make([]writing, len(leases))...)
	if len(items) != len(leases) {
		err := fmt.Errorf("memherd: FillKeepMulti of %d leases with %d items: give one for each", len(leases), len(items))
		for i := range leases {
			c.giveBack(&leases[i])
			m.errs[i] = err
		}
		return m.kept, m.outs, m.errs
	}
	singles := m.prepare()
	m.store()
	someAtOnce(singles, func(i int) { m.kept[i], m.outs[i], m.errs[i] = c.FillKeep(ctx, leases[i], items[i]) })
	return m.kept, m.outs, m.errs
}

// multiKeep is a FillKeepMulti under way. What each step is for is said where one lease is
// filled, in fillWrite.
type multiKeep struct {
	c      *Client
	ctx    context.Context
	t      *topology
	leases []item.Lease
	items  []item.Item
	kept   []item.Lease
	outs   []item.Outcome
	errs   []error
	*plan
}

// plan is what a FillKeepMulti needs while it is under way, of which another one uses the memory later: half
// a kilobyte a lease.
type plan struct {
	reqs   []memproto.Request
	ws     []writing // of those that are filled together; the others' have no client
	parts  []part
	others []target // by part
	homes  []target
}

var plans = sync.Pool{New: func() any { return new(plan) }}

func (p *plan) done() {
	clear(p.reqs) // nothing of the caller's is kept alive
	clear(p.ws)
	clear(p.parts)
	clear(p.others[:cap(p.others)])
	clear(p.homes[:cap(p.homes)])
	*p = plan{p.reqs[:0], p.ws[:0], p.parts[:0], p.others[:0], p.homes[:0]}
	plans.Put(p)
}

// part is what goes to one copy of the i-th key.
type part struct {
	i   int
	tok item.Token
}

// prepare plans the requests of the leases that have all they need. It returns the others.
func (m *multiKeep) prepare() (singles []int) {
	const op = "fill"
	c := m.c
	for i := range m.leases {
		l, it := &m.leases[i], m.items[i]
		hash := m.t.ring.Hash(l.Key)
		if !m.whole(l, hash) {
			singles = append(singles, i)
			continue
		}
		it.Key = l.Key
		var req memproto.Request
		err := c.storeRequest(op, &it, &req)
		if err == nil {
			err = c.checkLease(m.ctx, op, l.Key)
		}
		if err != nil {
			c.giveBack(l)
			m.errs[i] = err
			continue
		}
		c.counters.fills.Add(1)
		c.near.Drop(hash, l.Key)
		req.Flags |= memproto.FlagLc | memproto.FlagC
		m.reqs[i] = req
		m.kept[i].Tokens = make([]item.Token, 0, len(l.Tokens))
		m.ws[i] = writing{c: c, op: op, key: l.Key, always: true, kept: &m.kept[i].Tokens}
		for at, n := range m.t.ring.LookupHash(hash) {
			t := target{m.t.nodes[n], len(m.parts)}
			tok, _ := tokenFor(l, t.n)
			m.parts = append(m.parts, part{i, tok})
			if at == 0 {
				m.homes = append(m.homes, t)
			} else {
				m.others = append(m.others, t)
			}
		}
	}
	return singles
}

// whole reports whether l has a token of each copy, all of them up, and a key that no change of the
// fleet touches.
func (m *multiKeep) whole(l *item.Lease, hash uint64) bool {
	if m.c.gutter != nil || l.State != item.LeaseWrite || l.Placement != m.t.number || !m.t.untouched(hash) {
		return false
	}
	for _, at := range m.t.ring.LookupHash(hash) {
		n := m.t.nodes[at]
		if tok, ok := tokenFor(l, n); !ok || tok.Life != n.life.Load() || !n.breaker.Writable() {
			return false
		}
	}
	return true
}

func tokenFor(l *item.Lease, n *node) (item.Token, bool) {
	for _, tok := range l.Tokens {
		if tok.Node == n.Name {
			return tok, true
		}
	}
	return item.Token{}, false
}

// store sends what was planned, and deletes what is not on every copy then.
func (m *multiKeep) store() {
	c, began := m.c, time.Now()
	m.send(m.others)
	m.homes = slices.DeleteFunc(m.homes, func(t target) bool { return !m.ws[m.parts[t.i].i].agreed() })
	m.send(m.homes)
	late := len(m.others) > 0 && time.Since(began) > hold
	var undone []int
	for i := range m.ws {
		w := &m.ws[i]
		if w.c == nil {
			continue
		}
		hash := m.t.ring.Hash(w.key)
		w.catchUp(m.ctx, m.t, hash)
		if late || !w.agreed() {
			undone = append(undone, i)
			continue
		}
		tokens := m.kept[i].Tokens
		m.kept[i] = item.Lease{}
		if m.outs[i], m.errs[i] = w.finish(m.ctx); m.errs[i] == nil {
			m.kept[i] = m.leases[i]
			m.kept[i].Tokens = tokens
		} else {
			c.counters.errors.Add(1)
		}
		c.wrote(hash, w.key)
	}
	someAtOnce(undone, func(i int) {
		w := &m.ws[i]
		hash := m.t.ring.Hash(w.key)
		m.kept[i] = item.Lease{}
		m.outs[i], m.errs[i] = c.unfilled(m.ctx, w, m.t, hash)
		c.wrote(hash, w.key)
	})
}

func (m *multiKeep) send(ts []target) {
	if len(ts) == 0 {
		return
	}
	b := batch{c: m.c, op: "fill", each: m.answer,
		allowed: func(n *node) bool { return n.breaker.Writable() },
		request: func(i int, k *pipe.Call) {
			p := &m.parts[i]
			k.Req, k.Under = m.reqs[p.i], p.tok.Life
			k.Req.CAS = p.tok.CAS
		},
	}
	if m.ctx.Done() != nil {
		b.settler, b.key = lateWrite{}, func(i int) string { return m.leases[m.parts[i].i].Key }
	}
	b.run(m.ctx, ts)
}

// answer accounts for one copy, as writing.send does.
func (m *multiKeep) answer(t target, f *flight, left bool, err error) {
	w := &m.ws[m.parts[t.i].i]
	w.out.Copies++
	switch {
	case left:
		w.leaves(t.n, err)
	case err == nil:
		w.heard(f)
	case answered(err):
		w.refuses(err)
	default:
		w.missed(t.n, err)
	}
}
