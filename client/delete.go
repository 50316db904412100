package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Delete removes key from every copy: from the other copies first, and, when they
// have answered or are booked as debt, from the owner. That order costs a second
// round trip when R > 1, and without it a reader could fill the owner from a copy
// not yet deleted (consistency rule 2). An absent key is no error: Outcome.Found
// tells. A copy that could not be reached is owed the delete and hears it before
// this client reads from it again; an error says that fewer than
// Config.MinWriteAcks copies confirmed.
func (c *Client) Delete(ctx context.Context, key string) (item.Outcome, error) {
	const op = "delete"
	if err := c.check(ctx, op, key); err != nil {
		return item.Outcome{}, err
	}
	c.counters.deletes.Add(1)
	t := c.top.Load()
	hash := t.ring.Hash(key)
	c.near.Drop(hash, key)
	defer c.wrote(hash, key)
	out, err := c.deleteKey(ctx, op, key, hash)
	if err != nil {
		c.counters.errors.Add(1)
	}
	return out, err
}

func deleteRequest(key string) memproto.Request {
	r := memproto.Request{Cmd: memproto.CmdMetaDelete}
	setKey(&r, key)
	return r
}

// deleteKey is the delete of rules 2 and 17.
//
// One under which the fleet's lists changed is repeated, too: it has not reached those of the new.
//
// A copy that is restored from another waits for hold, so that deletes under way have
// passed all of them. One that took longer is repeated: it may have passed the copy before
// its token was taken, and the source after that was read (rule 4).
func (c *Client) deleteKey(ctx context.Context, op, key string, hash uint64) (item.Outcome, error) {
	found := false
	for try := 0; ; try++ {
		var mem [maxCopies]*node
		var groups [2][]*node
		t := c.top.Load()
		stages := t.stages(hash, mem[:0], groups[:0])
		began := time.Now()
		c.tellSpare(ctx, op, hash, key)
		out, err := c.deleteOnce(ctx, op, key, stages)
		found = found || out.Found
		out.Found = found
		late := len(stages) > 1 && time.Since(began) > hold
		if !late && c.top.Load().same(t) || try == maxRepeats || ctx.Err() != nil {
			return out, err
		}
	}
}

// maxRepeats is how often a write that took longer than hold is repeated.
const maxRepeats = 3

func (c *Client) deleteOnce(ctx context.Context, op, key string, stages [][]*node) (item.Outcome, error) {
	w := writing{c: c, op: op, key: key, always: true}
	if len(stages) > 1 && ctx.Done() != nil {
		w.late = lateDelete{time.Now()}
	}
	w.stages(ctx, stages)
	return w.finish(ctx)
}

// lateDelete is lateWrite for a delete that began then. One that has taken longer than hold is made once more, as deleteKey does: nobody
// else will.
type lateDelete struct{ began time.Time }

func (d lateDelete) Settle(conn *pipe.Conn, k *pipe.Call) {
	if k.Err == nil && time.Since(d.began) > hold {
		nodeOf(conn).owe(k.SettleKey, false)
	}
	lateWrite{}.Settle(conn, k)
}

// DeleteMulti deletes keys on all their copies, pipelined over all nodes at once, in
// the order of Delete. It returns the outcome of each key, by position, and an error
// that joins the failures, one per node, if any key was confirmed by fewer copies than
// Config.MinWriteAcks. Bad keys are found before anything is sent. A key is safe to be taken for deleted if its
// Confirmed plus Owed is its Copies.
func (c *Client) DeleteMulti(ctx context.Context, keys []string) ([]item.Outcome, error) {
	const op = "delete"
	for _, key := range keys {
		if err := c.check(ctx, op, key); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, c.checkCall(ctx, op)
	}
	c.counters.deletes.Add(uint64(len(keys)))
	return c.deleteKeys(ctx, op, keys)
}

// deleteKeys is DeleteMulti of keys that have been checked, for any op.
func (c *Client) deleteKeys(ctx context.Context, op string, keys []string) ([]item.Outcome, error) {
	t := c.top.Load()
	for _, key := range keys {
		c.near.Drop(t.ring.Hash(key), key)
	}
	d := newBatchDelete(c, op, t, keys)
	c.tellSpares(ctx, op, keys)
	d.run(ctx)
	for _, key := range keys {
		c.wrote(t.ring.Hash(key), key)
	}
	return d.outcomes, c.acksError(op, d.outcomes, d.failed)
}

// deleteCopies deletes keys on all their copies for the mender of n, and reports
// which of them n confirmed. n is told even about keys whose copy it no longer is. A gutter node's keys are
// on that node alone.
func (c *Client) deleteCopies(ctx context.Context, t *topology, keys []string, n *node) []bool {
	for _, key := range keys {
		c.near.Drop(t.ring.Hash(key), key)
	}
	d := newBatchDelete(c, "replay", t, keys)
	d.payee = n
	d.paid = make([]bool, len(keys))
	d.run(ctx)
	for _, key := range keys {
		c.wrote(t.ring.Hash(key), key)
	}
	return d.paid
}

// batchDelete is the delete of many keys: first all their other copies, then all
// their owners.
type batchDelete struct {
	c        *Client
	op       string
	t        *topology
	keys     []string
	outcomes []item.Outcome
	failed   map[string]error // by node name, one error each

	began time.Time

	payee *node  // the node whose debt is being paid, nil otherwise
	paid  []bool // by key: payee confirmed
}

func newBatchDelete(c *Client, op string, t *topology, keys []string) *batchDelete {
	return &batchDelete{c: c, op: op, t: t, keys: keys, outcomes: make([]item.Outcome, len(keys)), failed: map[string]error{}}
}

func (d *batchDelete) run(ctx context.Context) {
	for try := 0; ; try++ {
		stages := d.stages()
		began := time.Now()
		d.began = began
		for i, o := range d.outcomes {
			d.outcomes[i] = item.Outcome{Found: o.Found}
		}
		for _, ts := range stages {
			d.send(ctx, ts)
		}
		late := len(stages) > 1 && time.Since(began) > hold
		t := d.c.top.Load()
		if !late && t.same(d.t) || try == maxRepeats || ctx.Err() != nil {
			return // else see deleteKey
		}
		d.t = t
	}
}

// stages are the copies of all keys, by their position in each key's own stages.
func (d *batchDelete) stages() (stages [][]target) {
	var mem [maxCopies]*node
	var groups [2][]*node
	for i, key := range d.keys {
		if d.payee != nil && d.payee.spare {
			stages = staged(stages, [][]*node{{d.payee}}, i)
			continue
		}
		all := d.t.stages(d.t.ring.Hash(key), mem[:0], groups[:0])
		stages = staged(stages, all, i)
		if d.payee != nil && !among(all, d.payee) {
			stages = staged(stages, [][]*node{{d.payee}}, i)
		}
	}
	return stages
}

func (d *batchDelete) send(ctx context.Context, ts []target) {
	b := batch{c: d.c, op: d.op, each: d.answer,
		request: func(i int, k *pipe.Call) {
			k.Req = deleteRequest(d.keys[i])
		},
		allowed: func(n *node) bool { return n.breaker.Writable() },
		apart:   d.payee != nil,
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateWrite{}, func(i int) string { return d.keys[i] }
		if !d.began.IsZero() {
			b.settler = lateDelete{d.began}
		}
	}
	b.run(ctx, ts)
}

// answer takes the reply of one copy, or its failure.
func (d *batchDelete) answer(t target, f *flight, left bool, err error) {
	o := &d.outcomes[t.i]
	o.Copies++
	switch {
	case left:
		t.n.debt.Flight(d.keys[t.i], 1)
		o.Owed++
	case err != nil:
		o.Owed++
		if t.n != d.payee { // the payee's debt stands already
			t.n.owe(d.keys[t.i], !item.SafeToRetry(err))
		}
	default:
		o.Confirmed++
		o.Found = o.Found || f.call.Resp.Status == memproto.StatusHD
		if t.n == d.payee {
			d.paid[t.i] = true
		}
	}
	if err != nil {
		note(d.failed, t.n, err)
	}
}
