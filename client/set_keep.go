package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// SetKeep stores it on every copy of its key, whatever they hold, and returns a lease to
// store it again under with FillKeep: the first half of a write-back, in one round trip (consistency rule 8).
// Like FillKeep it deletes the key on every copy unless every copy that is up takes it; the error is
// ErrLeaseLost then. Copies that are down are owed a delete.
//
// Two clients that SetKeep one key at the same moment may leave its copies different, as Set may, until
// one of them fills again: that deletes the key.
func (c *Client) SetKeep(ctx context.Context, it item.Item) (item.Lease, item.Outcome, error) {
	const op = "set"
	var req memproto.Request
	err := c.storeRequest(op, &it, &req)
	if err != nil {
		return item.Lease{}, item.Outcome{}, err
	}
	if err := c.check(ctx, op, it.Key); err != nil {
		return item.Lease{}, item.Outcome{}, err
	}
	t := c.top.Load()
	hash := t.ring.Hash(it.Key)
	if c.gutter != nil || !t.untouched(hash) || t.returned(hash) || req.Exptime < 0 {
		// There is more to tell than the copies, or the owner is to come last: see setExpired.
		l, err := c.LeaseWrite(ctx, it.Key)
		if err != nil {
			return item.Lease{}, item.Outcome{}, err
		}
		return c.FillKeep(ctx, l, it)
	}
	c.counters.sets.Add(1)
	req.Flags |= memproto.FlagLc
	l := item.Lease{Key: it.Key, State: item.LeaseWrite, Placement: t.number, Copies: t.ring.Copies(), Generation: c.near.Generation(hash)}
	c.near.Drop(hash, it.Key)
	defer c.wrote(hash, it.Key)
	var mem [maxCopies]*node
	copies := t.copies(hash, mem[:0])
	w := writing{c: c, op: op, key: it.Key, always: true, kept: &l.Tokens, late: lateSetKeep{}}
	began := time.Now()
	w.sendAll(ctx, copies, &req)
	w.catchUp(ctx, t, hash)
	var out item.Outcome
	// One that took longer than hold may have passed who restores a copy: see deleteKey.
	if w.agreed() && (len(copies) == 1 || time.Since(began) <= hold) {
		if out, err = w.finish(ctx); err != nil {
			c.counters.errors.Add(1)
		}
	} else {
		out, err = c.unfilled(ctx, &w, t, hash)
	}
	if err != nil {
		return item.Lease{}, out, err
	}
	return l, out, nil
}

// lateSetKeep is the Settler of SetKeep. No token holds a store up that runs late, behind the delete that
// its caller has made of it, and whoever wrote the key meanwhile: so it is followed by one more delete on every copy.
type lateSetKeep struct{}

func (lateSetKeep) Settle(conn *pipe.Conn, k *pipe.Call) {
	n := nodeOf(conn)
	n.owe(k.SettleKey, k.Err != nil && k.Sent != item.NotSent)
	n.debt.Flight(k.SettleKey, -1)
}
