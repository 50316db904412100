package client

import (
	"context"
	"errors"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Set stores it on every copy of its key, unconditionally and in parallel. It
// returns when every live copy has answered or is booked as debt; it is an error
// only if fewer than Config.MinWriteAcks confirmed. A value a node refuses
// (ErrTooLarge) removes the old one there.
//
// Two clients that Set one key at the same moment may leave its copies different
// until the next write or the TTL: the nodes can't order writes. Where that matters
// use CompareAndSwap, a Loader, or Delete.
func (c *Client) Set(ctx context.Context, it item.Item) (item.Outcome, error) {
	// As in get, little is to be on the stack of a caller who waits.
	w := writing{c: c, op: "set", key: it.Key}
	exptime, err := c.checkStore(w.op, &it)
	if err == nil {
		err = c.check(ctx, w.op, it.Key)
	}
	if err != nil {
		return item.Outcome{}, err
	}
	c.counters.sets.Add(1)
	t := c.top.Load()
	hash := t.ring.Hash(it.Key)
	c.near.Drop(hash, it.Key)
	defer c.wrote(hash, it.Key)
	if exptime == memproto.ExptimeExpired {
		return c.setExpired(ctx, w.op, it.Key, hash)
	}
	before, after := t.strays(hash)
	if t.returned(hash) {
		before = t.stages(hash, nil, nil)
	}
	w.strays(ctx, before)
	w.late = lateSettler(ctx, t)
	var mem [maxCopies]flight
	w.collect(ctx, w.launchSet(ctx, t, hash, &it, exptime, mem[:0]))
	if !w.unheard() {
		w.strays(ctx, after)
		w.catchUp(ctx, t, hash)
	}
	if c.gutter != nil && c.setSpare(ctx, &w, hash, &it, exptime) {
		return w.out, nil
	}
	out, err := w.finish(ctx)
	if err != nil {
		c.counters.errors.Add(1)
	}
	return out, err
}

// launchSet sends it, which has been checked, to the copies of t; see launch.
func (w *writing) launchSet(ctx context.Context, t *topology, hash uint64, it *item.Item, exptime int64, flights []flight) []flight {
	var mem [maxCopies]*node
	return w.launch(ctx, t.copies(hash, mem[:0]), func(_ *node, r *memproto.Request) bool {
		makeStore(r, it, exptime)
		return true
	}, flights)
}

// storeRequest checks an item and makes the meta set of it, in req, which is empty.
func (c *Client) storeRequest(op string, it *item.Item, req *memproto.Request) error {
	exptime, err := c.checkStore(op, it)
	if err == nil {
		makeStore(req, it, exptime)
	}
	return err
}

// checkStore checks an item but for its key, and returns its exptime.
func (c *Client) checkStore(op string, it *item.Item) (int64, error) {
	refuse := func(err error) (int64, error) { return 0, &item.Error{Op: op, Sent: item.NotSent, Err: err} }
	if len(it.Value) > c.cfg.MaxValueBytes {
		return refuse(item.ErrTooLarge)
	}
	if it.Flags == item.FlagZero {
		return refuse(item.ErrBadFlags)
	}
	exp, err := exptime(it.TTL)
	if err != nil {
		return refuse(err)
	}
	return exp, nil
}

// makeStore makes the meta set of an item that has been checked, in req, which is empty.
func makeStore(req *memproto.Request, it *item.Item, exptime int64) {
	req.Cmd, req.Value, req.Flags = memproto.CmdMetaSet, it.Value, memproto.FlagF
	req.ClientFlags, req.Exptime = flagsOut(it.Flags), exptime
	setKey(req, it.Key)
	if exptime != 0 {
		req.Flags |= memproto.FlagT
	}
}

// exptime converts a TTL for the wire. Every TTL a caller gives passes here.
func exptime(ttl time.Duration) (int64, error) {
	if ttl == item.Expired {
		return memproto.ExptimeExpired, nil
	}
	exp, err := memproto.Exptime(ttl, time.Now())
	if err != nil {
		return 0, item.ErrBadTTL
	}
	return exp, nil
}

// writing is one request that has to reach every copy of a key.
type writing struct {
	c   *Client
	op  string
	key string
	// always books a copy as owed even when nothing was sent: a delete has to be
	// heard in any case, a set that reached no copy at all has not happened.
	always bool

	// tokens are those that requests to their nodes are sent under.
	tokens []item.Token
	// kept, if not nil, gets the tokens of the copies that stored the value.
	kept *[]item.Token
	// late learns what becomes of requests whose caller leaves; nil: lateWrite.
	late pipe.Settler

	out      item.Outcome
	errs     []error
	refused  error
	conflict bool // some copy answered NF, EX or NS
	left     bool // ctx ended while some copy's answer was due
	unsent   []*node
}

// send sends a request to each of nodes in parallel and collects the answers. build makes it, and
// returns false for a node that gets none and needs none.
func (w *writing) send(ctx context.Context, nodes []*node, build func(*node, *memproto.Request) bool) {
	var mem [maxCopies]flight
	w.collect(ctx, w.launch(ctx, nodes, build, mem[:0]))
}

// launch is the first half of send. It appends what has been sent to flights.
func (w *writing) launch(ctx context.Context, nodes []*node, build func(*node, *memproto.Request) bool, flights []flight) []flight {
	for _, n := range nodes {
		k := n.newCall()
		if !build(n, &k.Req) {
			k.Free()
			continue
		}
		w.out.Copies++
		if !n.breaker.Writable() {
			k.Free()
			w.missed(n, n.refusal(w.op))
			continue
		}
		for _, tok := range w.tokens {
			if tok.Node == n.Name {
				k.Under = tok.Life
			}
		}
		if ctx.Done() != nil {
			k.Settler, k.SettleKey = w.late, w.key
			if w.late == nil {
				k.Settler = lateWrite{}
			}
		}
		flights = append(flights, n.launch(ctx, w.op, k))
	}
	return flights
}

// collect is the second half of send.
func (w *writing) collect(ctx context.Context, flights []flight) {
	for i := range flights {
		f := &flights[i]
		left, err := f.wait(ctx)
		switch {
		case left:
			w.leaves(f.n, err)
		case err != nil:
			w.missed(f.n, err)
		default:
			w.answered(f)
		}
	}
}

// sendAll is send of one request to all.
func (w *writing) sendAll(ctx context.Context, nodes []*node, req *memproto.Request) {
	w.send(ctx, nodes, func(_ *node, r *memproto.Request) bool { *r = *req; return true })
}

// deleteAll deletes key on all nodes.
func (w *writing) deleteAll(ctx context.Context, nodes []*node, key string) {
	w.send(ctx, nodes, func(_ *node, r *memproto.Request) bool { *r = deleteRequest(key); return true })
}

// stages deletes the key on groups of nodes, one after the other.
func (w *writing) stages(ctx context.Context, groups [][]*node) {
	for i, nodes := range groups {
		err := ctx.Err()
		if err == nil || i == 0 {
			w.deleteAll(ctx, nodes, w.key)
			continue
		}
		// The answers of those before are still due, so the turn of these has not come;
		// nobody waits for it any more. They are owed the delete, and their menders do the
		// whole of it in the right order.
		for _, n := range nodes {
			w.out.Copies++
			w.missed(n, &item.Error{Op: w.op, Node: n.Name, Sent: item.NotSent, Err: err})
		}
	}
}

// strays deletes the key on nodes that are none of its copies now, but were or will be, one group after
// the other. What they don't confirm counts as a copy that is owed.
func (w *writing) strays(ctx context.Context, groups [][]*node) {
	if len(groups) == 0 {
		return
	}
	d := writing{c: w.c, op: w.op, key: w.key, always: true}
	d.stages(ctx, groups)
	w.out.Copies += d.out.Owed
	w.out.Owed += d.out.Owed
	w.left = w.left || d.left
}

// catchUp deletes the key on nodes of lists that this client has learned of since the write began
// under t: others may read by them before a slow write is through.
func (w *writing) catchUp(ctx context.Context, t *topology, hash uint64) {
	for now := w.c.top.Load(); now != t; now = w.c.top.Load() {
		if news := now.news(t, hash); len(news) > 0 {
			w.strays(ctx, [][]*node{news})
		}
		t = now
	}
}

// missed accounts for a copy that did not hear the request, or may not have.
func (w *writing) missed(n *node, err error) {
	w.errs = append(w.errs, err)
	if item.SafeToRetry(err) && !w.always {
		w.unsent = append(w.unsent, n)
		return
	}
	w.out.Owed++
	n.owe(w.key, !item.SafeToRetry(err))
}

// leaves accounts for a copy whose answer is due when the caller leaves. The write keeps its slot;
// lateWrite learns what became of it. Until then this client does not read the key from that copy.
func (w *writing) leaves(n *node, err error) {
	n.debt.Flight(w.key, 1)
	w.left = true
	w.out.Owed++
	w.errs = append(w.errs, err)
}

// refuses accounts for a copy that answered with an error line. The node took the old value away
// (consistency rule 11).
func (w *writing) refuses(err error) {
	w.out.Refused++
	w.refused = err
}

// answered accounts for a copy's reply.
func (w *writing) answered(f *flight) {
	defer f.call.Free()
	if err := f.refusal(); err != nil {
		w.refuses(err)
		return
	}
	w.heard(f)
}

// heard is answered for a reply that is no error line.
func (w *writing) heard(f *flight) {
	switch f.call.Resp.Status {
	case memproto.StatusHD:
		w.out.Confirmed++
		w.out.Found = w.out.Found || f.call.Req.Cmd == memproto.CmdMetaDelete
		if w.kept != nil && f.call.Resp.HasCAS && f.call.Resp.CAS != 0 {
			*w.kept = append(*w.kept, item.Token{Version: item.Version{Node: f.n.Name, Life: f.life}, CAS: f.call.Resp.CAS})
		}
	case memproto.StatusNF, memproto.StatusEX, memproto.StatusNS, memproto.StatusEN:
		w.out.Confirmed++
		w.conflict = true
	}
}

// agreed reports whether no copy that answered refused, and all have answered or are owed the write.
func (w *writing) agreed() bool { return !w.conflict && !w.left && w.refused == nil }

// finish settles what the copies that were not reached mean. If any copy took the
// write, or may have, those that surely did not hear it are owed a delete; if none
// did, the write has not happened and nothing is owed.
func (w *writing) finish(ctx context.Context) (item.Outcome, error) {
	if w.out.Confirmed+w.out.Refused+w.out.Owed > 0 {
		for _, n := range w.unsent {
			w.out.Owed++
			n.owe(w.key, false)
		}
		w.unsent = nil
	}
	switch {
	case ctx.Err() != nil && len(w.errs) > 0:
		err := errors.Join(w.errs...)
		if w.out.Confirmed+w.out.Refused > 0 {
			err = partly(w.op, err)
		}
		return w.out, err
	case w.out.Confirmed >= w.c.cfg.MinWriteAcks:
		return w.out, nil
	case w.refused != nil:
		return w.out, w.refused
	case len(w.errs) == 1 && w.out.Confirmed == 0:
		return w.out, w.errs[0]
	case w.out.Confirmed == 0:
		return w.out, errors.Join(w.errs...)
	}
	return w.out, errors.Join(append([]error{&item.Error{Op: w.op, Err: item.ErrTooFewAcks}}, w.errs...)...)
}

// unheard reports whether no copy can have heard the request.
func (w *writing) unheard() bool {
	return w.out.Confirmed+w.out.Refused == 0 && (len(w.errs) == 0 || item.SafeToRetry(errors.Join(w.errs...)))
}

// lateWrite is the Settler of writes: an abandoned write's late reply is its
// outcome, and it becomes debt only if the connection dies first (consistency
// rule 7).
type lateWrite struct{}

func (lateWrite) Settle(conn *pipe.Conn, k *pipe.Call) {
	n := nodeOf(conn)
	if k.Err != nil {
		n.owe(k.SettleKey, k.Sent != item.NotSent)
	}
	n.debt.Flight(k.SettleKey, -1)
}

// lateSet is lateWrite for a set under a topology with an announced list: others may have copied what was there before to nodes that are to be
// copies. It is deleted there, as it is when the caller stays.
type lateSet struct{ t *topology }

func (l lateSet) Settle(conn *pipe.Conn, k *pipe.Call) {
	lateWrite{}.Settle(conn, k)
	if k.Err != nil {
		return
	}
	c := nodeOf(conn).c
	if _, after := l.t.strays(l.t.ring.Hash(k.SettleKey)); len(after) > 0 {
		w := writing{c: c, op: "set", key: k.SettleKey}
		c.group.Go(func() { w.strays(c.ctx, after) })
	}
}

// lateSettler is the Settler of a set under t, nil if ctx never ends.
func lateSettler(ctx context.Context, t *topology) pipe.Settler {
	switch {
	case ctx.Done() == nil:
		return nil
	case len(t.next) > 0:
		return lateSet{t}
	}
	return lateWrite{}
}
