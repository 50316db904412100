package client

import (
	"context"
	"errors"
	"slices"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
)

// target is one key's request to one node; i is the key's position in the call.
type target struct {
	n *node
	i int
}

// batch sends many requests over all nodes at once: per node they go out pipelined
// with as few writes as possible, and no more at a time than fit into the socket's
// buffers and the node's in-flight cap, so that a node that answers while we still
// write can't block both sides for good.
type batch struct {
	c  *Client
	op string
	// request fills in the request of key i.
	request func(i int, k *pipe.Call)
	// each takes the outcome of a target: a flight that holds the reply, whose call is
	// freed after, or nil and an error.
	each func(t target, f *flight, left bool, err error)
	// settler learns late replies; nil for nobody. key is the key it is told.
	settler pipe.Settler
	key     func(i int) string
	// allowed says whether a node may be asked at all.
	allowed func(n *node) bool
	// apart says that the requests are the client's own, as in exchange: they go out, too, where callers have taken all places.
	apart bool
}

// batchWindow is how many requests of one call are under way to one node.
const batchWindow = 128

// run sends to all targets and returns when each has been answered or has failed.
func (b *batch) run(ctx context.Context, ts []target) {
	// Windows over all nodes: the k-th window of every node is under way together.
	perNode := map[*node][]target{}
	order := []*node{}
	for _, t := range ts {
		if _, ok := perNode[t.n]; !ok {
			order = append(order, t.n)
		}
		perNode[t.n] = append(perNode[t.n], t)
	}
	size := batchWindow
	if limit := b.c.cfg.MaxInFlight; limit < size {
		size = limit
	}
	for len(order) > 0 {
		var flying []window
		for _, n := range order {
			head := perNode[n]
			if len(head) > size {
				head = head[:size]
			}
			perNode[n] = perNode[n][len(head):]
			flying = append(flying, b.launch(ctx, n, head))
		}
		for i := range flying {
			b.land(ctx, &flying[i])
		}
		order = slices.DeleteFunc(order, func(n *node) bool { return len(perNode[n]) == 0 })
	}
}

// window is a run of requests under way on one connection.
type window struct {
	n     *node
	ts    []target
	conn  *pipe.Conn
	life  uint64 // the stamp of conn before anything was sent
	calls []*pipe.Call
	err   error
}

func (b *batch) launch(ctx context.Context, n *node, ts []target) window {
	w := window{n: n, ts: ts}
	if err := ctx.Err(); err != nil {
		w.err = &item.Error{Op: b.op, Node: n.Name, Sent: item.NotSent, Err: err}
		return w
	}
	if !b.allowed(n) {
		w.err = n.refusal(b.op)
		return w
	}
	if n.busy() && !b.apart {
		w.err = &item.Error{Op: b.op, Node: n.Name, Sent: item.NotSent, Err: item.ErrBusy}
		return w
	}
	largest := 0
	w.calls = make([]*pipe.Call, len(ts))
	for i, t := range ts {
		k := n.newCall()
		k.Apart = b.apart
		b.request(t.i, k)
		if b.settler != nil {
			k.Settler, k.SettleKey = b.settler, b.key(t.i)
		}
		w.calls[i] = k
		largest = max(largest, len(k.Req.Value))
	}
	for try := 0; ; try++ {
		conn, err := n.conn(ctx, largest)
		if err != nil {
			f := flight{n: n, op: b.op, call: n.newCall()}
			f.dialFailed(ctx, err)
			w.drop(f.err)
			return w
		}
		if n.barred() && !b.allowed(n) { // see launchRead
			w.drop(n.refusal(b.op))
			return w
		}
		w.conn, w.life = conn, conn.Stamp()
		if err = conn.StartBatch(ctx, w.calls); err == nil {
			n.countAsked(len(w.calls))
			return w
		}
		if err == pipe.ErrStamp {
			w.drop(&item.Error{Op: b.op, Node: n.Name, Sent: item.NotSent, Err: item.ErrLeaseLost})
			return w
		}
		if try == 2 {
			w.drop(&item.Error{Op: b.op, Node: n.Name, Sent: item.NotSent, Err: asConnLost(err)})
			return w
		}
	}
}

// drop gives up a window of which nothing was sent.
func (w *window) drop(err error) {
	for _, k := range w.calls {
		k.Free()
	}
	w.calls, w.err = nil, err
}

func (b *batch) land(ctx context.Context, w *window) {
	if w.err == nil {
		w.conn.WaitBatch(ctx, w.calls)
	}
	for i, t := range w.ts {
		if w.err != nil {
			b.each(t, nil, false, w.err)
			continue
		}
		f := flight{n: w.n, conn: w.conn, call: w.calls[i], op: b.op, life: w.life}
		left, err := f.landed(ctx)
		if err == nil {
			err = f.refusal()
		}
		if err != nil {
			b.each(t, nil, left, err)
		} else {
			b.each(t, &f, false, nil)
		}
		if f.call != nil {
			f.call.Free()
		}
	}
}

// note keeps the failure of a node that says most: one after which a request may have
// run is not hidden by one that was not sent.
func note(failed map[string]error, n *node, err error) {
	if old := failed[n.Name]; old == nil || item.SafeToRetry(old) || !item.SafeToRetry(err) {
		failed[n.Name] = err
	}
}

// joinByNode joins one error per node, in the order of their names.
func joinByNode(failed map[string]error) error {
	names := make([]string, 0, len(failed))
	for name := range failed {
		names = append(names, name)
	}
	slices.Sort(names)
	errs := make([]error, 0, len(names))
	for _, name := range names {
		errs = append(errs, failed[name])
	}
	return errors.Join(errs...)
}
