package client

import (
	"context"
	"errors"
	"slices"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// errNothing is what a read returns inside the client when every copy is barred from
// reads of this key by what it is owed: to the raw client a miss, to a lease a load
// without caching (consistency rule 7).
var errNothing = errors.New("memherd: no copy of the key may be read")

// allDown is ErrNodeDown of a read for which no copy was asked: none was to be read when its turn came.
type allDown struct{ down error }

func (e allDown) Error() string { return e.down.Error() }
func (e allDown) Unwrap() error { return e.down }

// readOptions are the ways in which reads of the home copy differ.
type readOptions struct {
	flags   memproto.Flags
	vivify  int64 // the argument of N
	exptime int64 // the argument of T
	recache int64 // the argument of R
	lease   bool  // the request may win a lease: a win that comes late is given back
	borrow  bool  // the caller copies the value
	hedge   bool  // the answer to a plain read of another copy will do
	alone   bool  // no other copy is asked when it fails
	share   bool  // the reply to a classic get will do: it need not tell marks, or the TTL
}

// request makes the meta get of a read.
func (o *readOptions) request(r *memproto.Request, key string) {
	r.Cmd, r.Flags = memproto.CmdMetaGet, o.flags
	if o.flags&(memproto.FlagN|memproto.FlagT|memproto.FlagR) != 0 {
		r.Vivify, r.Exptime, r.Recache = o.vivify, o.exptime, o.recache
	}
	setKey(r, key)
}

// settler is who learns the reply if the caller leaves before it is there.
func (o *readOptions) settler() pipe.Settler {
	switch {
	case o.lease:
		return lateLease{}
	case o.flags.Has(memproto.FlagT):
		return lateTouch{}
	}
	return lateRead{}
}

// readHome sends a meta get for key to the home copy, and to the next copy when that fails. What f
// is after a nil error holds the reply; free its call.
// Every copy is asked once; if there is only one left and its connection broke, it
// is asked once more on a new one, because the node may have shed an idle connection.
//
// Nearly always the owner answers. All that other copies need is kept in frames that are not there while it is waited for: see get.
func (c *Client) readHome(ctx context.Context, op string, hash uint64, key string, o *readOptions, f *flight) error {
	t := c.top.Load()
	n := t.owner(hash)
	if !n.breaker.Readable() || n.debt.Blocks(key) || c.cold.nodes.Load() > 0 || o.hedge && c.hedging.after.Load() != 0 {
		return c.readCopies(ctx, op, t, hash, key, o, f, failedRead{})
	}
	n.ask(ctx, op, key, o, f)
	left, err := f.wait(ctx)
	switch {
	case err != nil:
		return c.readCopies(ctx, op, t, hash, key, o, f, failedRead{n: n, left: left, err: err})
	case c.cold.nodes.Load() > 0:
		return c.trusted(t, hash, key, o, f)
	}
	return nil
}

// trusted looks once more whether the copy that has answered may be read: that it has a new epoch, and so may have been given back what
// this client has deleted, may have been learned with the very connection that was made for this read. If it may not, what the answer
// grants is handed back, and the call freed.
func (c *Client) trusted(t *topology, hash uint64, key string, o *readOptions, f *flight) error {
	if !c.distrusts(t, hash, key, o, f) {
		return nil
	}
	f.call.Free()
	return errNothing
}

// distrusts is trusted for a call that somebody else frees: it reports whether the answer is not to be used.
func (c *Client) distrusts(t *topology, hash uint64, key string, o *readOptions, f *flight) bool {
	if c.cold.nodes.Load() == 0 {
		return false
	}
	if !t.tainted(hash, key, f.n) {
		return false
	}
	f.call.SettleKey = key
	o.settler().Settle(f.conn, f.call)
	return true
}

// failedRead is a read of the owner that has failed, none if n is nil.
type failedRead struct {
	n    *node
	left bool
	err  error
}

// ask sends n a read.
func (n *node) ask(ctx context.Context, op, key string, o *readOptions, f *flight) {
	k := n.newCall()
	o.request(&k.Req, key)
	k.Borrow, k.Share = o.borrow, o.share
	if ctx.Done() != nil {
		k.Settler, k.SettleKey = o.settler(), key
	}
	*f = n.launchRead(ctx, op, k)
}

// readCopies is readHome on all copies, one after the other; first is what has become of the owner if that has been asked.
func (c *Client) readCopies(ctx context.Context, op string, t *topology, hash uint64, key string, o *readOptions, f *flight, first failedRead) error {
	var mem [maxCopies]*node
	copies := t.copies(hash, mem[:0])
	var last, unsure error // unsure: the last after which the request may have run
	var asked uint64       // bit i: copy i has had its chance
	barred := false
	var tried *node // last
tries:
	for j := range 2 * len(copies) {
		i := j % len(copies)
		if j == len(copies) && last == nil {
			break
		}
		// The second time around is for a copy that was down when the first time began
		// and is up now: one node lost after the other is no loss of two.
		n := copies[i]
		given := first.n == n && asked&(1<<i) == 0
		if !given && (asked&(1<<i) != 0 || !n.breaker.Readable()) {
			continue
		}
		asked |= 1 << i
		if !given && (n.debt.Blocks(key) || c.cold.nodes.Load() > 0 && t.tainted(hash, key, n)) {
			barred = true
			continue
		}
		for try := 0; try < 2; try++ {
			if last != nil && !c.mayRetry(item.SafeToRetry(last)) {
				break tries
			}
			if last != nil && tried != n {
				c.counters.failovers.Add(1)
				c.cfg.Hooks.failover(op, tried.Name, last)
			}
			tried = n
			left, err := first.left, first.err
			if !given {
				n.ask(ctx, op, key, o, f)
				if second := c.second(t, hash, key, copies, i, o); second != nil {
					*f, left, err = c.hedgedWait(ctx, *f, second, key, o)
				} else {
					left, err = f.wait(ctx)
				}
				if err == nil {
					return c.trusted(t, hash, key, o, f)
				}
			}
			given = false
			n.orphanLease(key, o.flags, left, err)
			last = err
			if !item.SafeToRetry(err) {
				unsure = err
			}
			if !c.retriable(ctx) {
				return bothOf(unsure, err)
			}
			others := !o.alone && slices.ContainsFunc(copies[i+1:], func(n *node) bool { return n.breaker.Readable() && !n.debt.Blocks(key) })
			if others || !errors.Is(err, item.ErrConnLost) || !n.breaker.Readable() {
				break
			}
		}
		if o.alone {
			break
		}
	}
	switch {
	case barred:
		// Even if another copy failed: what this client owes the rest is known, and
		// the loss of one node is to be no error.
		return errNothing
	case last != nil:
		return bothOf(unsure, last)
	}
	return &item.Error{Op: op, Node: copies[0].Name, Sent: item.NotSent, Err: allDown{copies[0].down()}}
}

// bothOf is the error of a read whose last try was not sent though an earlier one, on
// another copy or another connection, may have been.
func bothOf(unsure, last error) error {
	if unsure == nil || !item.SafeToRetry(last) {
		return last
	}
	return errors.Join(unsure, last)
}
