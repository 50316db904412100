package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Fill ends a lease with a value.
//
// After LeaseWon or LeaseRefresh it stores the value on each copy under that copy's own token. Where
// a delete or a write came in between, the token is void and that copy is left
// alone; if that was the home copy, the error is ErrLeaseLost: the value may go to
// the caller who loaded it and nowhere else. Copies that can't be reached are left
// out; a fill creates no debt.
//
// After LeaseWrite it stores the value on the other copies first and then on the home
// copy. Unless every copy that is up takes it, the key is deleted on every copy and
// the error is ErrLeaseLost: the write to the origin stands, and the next reader
// loads it. Copies that are down are owed a delete. So it is when ctx ends before all
// have answered: an error of the context, and the delete is on its way.
//
// What is refused before it is sent (an item that is too large, a bad TTL or flags) ends the lease and leaves
// the copies as they are: after LeaseWrite, Delete the key.
//
// it.Key may be left empty.
func (c *Client) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	const op = "fill"
	it.Key = l.Key
	var req memproto.Request
	err := c.storeRequest(op, &it, &req)
	if err != nil {
		c.giveBack(&l)
		return item.Outcome{}, err
	}
	if l.State != item.LeaseWon && l.State != item.LeaseWrite && l.State != item.LeaseRefresh {
		return item.Outcome{}, &item.Error{Op: op, Sent: item.NotSent, Err: item.ErrLeaseLost}
	}
	if err := c.checkLease(ctx, op, l.Key); err != nil {
		c.giveBack(&l)
		return item.Outcome{}, err
	}
	if l.State == item.LeaseWrite {
		// The origin has been written: the copies hear of it even if ctx has ended.
		c.counters.fills.Add(1)
		return c.fillWrite(ctx, l, req, nil)
	}
	if err := ctx.Err(); err != nil {
		c.giveBack(&l)
		return item.Outcome{}, &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	c.counters.fills.Add(1)
	// Suffix copies may have what was there before: all along, if this refreshes it, or if another client, which does not scatter the key, has deleted it.
	defer c.leaveSuffixes(l.Key)
	if l.Gutter != "" && c.gutter != nil {
		return c.fillSpare(ctx, op, l, req)
	}
	return c.fillWon(ctx, &l, &req)
}

// FillKeep is Fill of a lease of LeaseWrite, and returns a lease for another one: its
// tokens are those the copies gave when they stored it. A Fill or FillKeep under it, at
// any time later, stores on every copy if nobody has changed or evicted the key on any of
// them since, and deletes it on all of them otherwise (consistency rule 8, write-back).
// A copy that tells no token (a server older than 1.6.18) has none in it, so that the
// next fill deletes. Such a lease holds nobody up and need not be given back. After an
// error it is the zero Lease.
func (c *Client) FillKeep(ctx context.Context, l item.Lease, it item.Item) (item.Lease, item.Outcome, error) {
	const op = "fill"
	it.Key = l.Key
	var req memproto.Request
	err := c.storeRequest(op, &it, &req)
	if err != nil {
		c.giveBack(&l)
		return item.Lease{}, item.Outcome{}, err
	}
	if l.State != item.LeaseWrite {
		c.giveBack(&l)
		return item.Lease{}, item.Outcome{}, &item.Error{Op: op, Sent: item.NotSent, Err: item.ErrLeaseLost}
	}
	if err := c.checkLease(ctx, op, l.Key); err != nil {
		c.giveBack(&l)
		return item.Lease{}, item.Outcome{}, err
	}
	c.counters.fills.Add(1)
	req.Flags |= memproto.FlagLc
	var kept []item.Token
	out, err := c.fillWrite(ctx, l, req, &kept)
	if err != nil {
		return item.Lease{}, out, err
	}
	l.Tokens = kept
	return l, out, nil
}

// fillWon fills under the tokens of a won lease.
func (c *Client) fillWon(ctx context.Context, l *item.Lease, req *memproto.Request) (item.Outcome, error) {
	const op = "fill"
	out := item.Outcome{Copies: l.Copies}
	t := c.top.Load()
	if t.number != l.Placement {
		c.giveBack(l)
		return out, c.leaseLost(op, "")
	}
	hash := t.ring.Hash(l.Key)
	near := c.holds(c.detector.Level(hash, l.Key))
	if near {
		req.Flags |= memproto.FlagLc // what memory holds is compared by it later
	}
	var mem [maxCopies]flight
	flights := mem[:0]
	var tokens [maxCopies]item.Token
	under := tokens[:0] // what they were sent with
	homeLost := true
	for i, tok := range l.Tokens {
		n := t.byName(tok.Node)
		if n == nil {
			continue
		}
		if n.life.Load() != tok.Life || !n.breaker.Writable() {
			n.orphanWin(l.Key, tok)
			continue
		}
		f := n.launch(ctx, op, n.storeUnder(req, tok))
		if i == 0 {
			if f.err != nil && ctx.Err() != nil {
				// Nothing was sent, and nothing need be.
				c.giveBack(l)
				return out, f.err
			}
			homeLost = false
		}
		under, flights = append(under, tok), append(flights, f)
	}
	var homeErr error
	heard := false // by another copy, perhaps
	for i := range flights {
		f := &flights[i]
		_, err := f.wait(ctx)
		heard = heard || f.n.Name != l.Tokens[0].Node && !(err != nil && item.SafeToRetry(err))
		if err == nil {
			err = f.refusal()
			if err == nil && f.call.Resp.Status == memproto.StatusHD {
				out.Confirmed++
				if f.n.Name == l.Tokens[0].Node && !(near && c.keepFilled(*f, req, hash, l)) {
					c.near.Drop(hash, l.Key) // what is held is from before
				}
				f.call.Free()
				continue
			}
			if err != nil && f.call.Classic {
				// A refused cas leaves what was there: a stub that nobody will fill.
				postHandBack(f.conn, l.Key, f.call.Req.CAS, true)
			}
			f.call.Free()
			out.Refused++
		} else {
			f.n.orphanStub(l.Key, under[i]) // if the value did not get there
		}
		if f.n.Name == l.Tokens[0].Node {
			homeErr, homeLost = err, true
		}
	}
	if homeErr != nil {
		if heard {
			homeErr = partly(op, homeErr)
		}
		return out, homeErr
	}
	if homeLost {
		home := ""
		if len(l.Tokens) > 0 {
			home = l.Tokens[0].Node
		}
		return out, c.leaseLost(op, home)
	}
	return out, nil
}

func (c *Client) leaseLost(op, node string) error {
	c.counters.leasesLost.Add(1)
	c.cfg.Hooks.leaseLost(node)
	return &item.Error{Op: op, Node: node, Sent: item.Answered, Err: item.ErrLeaseLost}
}

// fillWrite is the second half of a write-through.
//
// Why any doubt ends in a delete everywhere: two writers W1 and W2 write the origin in
// that order. If W2's tokens are older than W1's fill, W2's fill is refused; were
// W1's value left there, it would be older than the origin. And a copy that takes
// W2's value while another refuses it may hold either. After the delete the next
// reader loads what the origin has now. An answer nobody waited for may be a refusal,
// too.
//
// What the copies return as their new tokens goes to kept, if that is not nil.
func (c *Client) fillWrite(ctx context.Context, l item.Lease, req memproto.Request, kept *[]item.Token) (item.Outcome, error) {
	const op = "fill"
	t := c.top.Load()
	hash := t.ring.Hash(l.Key)
	c.near.Drop(hash, l.Key)
	defer c.wrote(hash, l.Key)
	var mem [maxCopies]*node
	copies := t.copies(hash, mem[:0])

	w := writing{c: c, op: op, key: l.Key, always: true, tokens: l.Tokens, kept: kept}
	doubt := t.number != l.Placement
	under := func(n *node, r *memproto.Request) bool {
		for _, tok := range l.Tokens {
			if tok.Node == n.Name && tok.Life == n.life.Load() {
				*r = req
				r.Flags |= memproto.FlagC
				r.CAS = tok.CAS
				return true
			}
		}
		// No token: a copy that is up may have been filled by anybody meanwhile. One
		// that is down has missed the write. The breaker is asked once: it may change.
		if n.breaker.Writable() {
			doubt = true
		} else {
			w.out.Copies++
			w.missed(n, n.refusal(op))
		}
		return false
	}
	before, after := t.strays(hash)
	settled := func() bool { return !doubt && w.agreed() }
	began := time.Now()
	c.tellSpare(ctx, op, hash, l.Key)
	w.strays(ctx, before)
	if settled() {
		w.send(ctx, copies[1:], under)
	}
	if settled() {
		w.send(ctx, copies[:1], under)
	}
	w.strays(ctx, after)
	w.catchUp(ctx, t, hash)
	// One that took longer than hold is not known to be on every copy: see deleteKey.
	if settled() && (len(copies) == 1 && !t.moving() || time.Since(began) <= hold) {
		out, err := w.finish(ctx)
		if err != nil {
			c.counters.errors.Add(1)
		}
		return out, err
	}
	return c.unfilled(ctx, &w, t, hash)
}

// unfilled deletes a key that could not be stored on every copy, whose owner was t's.
func (c *Client) unfilled(ctx context.Context, w *writing, t *topology, hash uint64) (item.Outcome, error) {
	out, err := c.deleteKey(ctx, w.op, w.key, hash)
	if err != nil {
		c.counters.errors.Add(1)
		if !w.unheard() {
			err = partly(w.op, err)
		}
		return out, err
	}
	out.Refused, out.Confirmed = out.Confirmed, 0 // none holds the value
	return out, c.leaseLost(w.op, t.owner(hash).Name)
}

// storeUnder makes the call that stores req where tok was taken, if nothing changed
// there since.
func (n *node) storeUnder(req *memproto.Request, tok item.Token) *pipe.Call {
	k := n.newCall()
	k.Req, k.Under = *req, tok.Life
	k.Req.Flags |= memproto.FlagC
	k.Req.CAS = tok.CAS
	return k
}
