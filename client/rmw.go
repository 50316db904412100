package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Read-modify-write runs on the owner alone, after the other copies have been
// deleted: two nodes could each grant the same lock, or count the same event. It is
// never sent twice, and refused with ErrOwnerDown when the owner can't be reached
// (consistency rule 10).

// Add stores it if the key is absent; ErrNotStored if it is there. Only the owner
// holds the value afterwards. ErrOwnerDown if the owner is not reachable.
func (c *Client) Add(ctx context.Context, it item.Item) (item.Outcome, error) {
	return c.store(ctx, "add", it, 'E', 0)
}

// Replace stores it if the key is present; ErrNotStored if it is absent. See Add for
// the copies.
func (c *Client) Replace(ctx context.Context, it item.Item) (item.Outcome, error) {
	return c.store(ctx, "replace", it, 'R', 0)
}

// Append adds it.Value to the end of the value at it.Key; ErrNotStored if there is
// none. Flags and TTL stay as they are. See Add for the copies. To a node a key that is leased (Lease) is there, and empty: so Append,
// Prepend and Replace store at it, and Add does not. Don't use them on keys that are.
func (c *Client) Append(ctx context.Context, it item.Item) (item.Outcome, error) {
	return c.store(ctx, "append", it, 'A', 0)
}

// Prepend adds it.Value before the value at it.Key; otherwise as Append.
func (c *Client) Prepend(ctx context.Context, it item.Item) (item.Outcome, error) {
	return c.store(ctx, "prepend", it, 'P', 0)
}

// CompareAndSwap stores it if nobody changed the item since Gets returned it:
// ErrCASConflict if somebody did, or if the node has been lost since (its tokens mean
// nothing then: Gets again), ErrCacheMiss if it is gone. it.CAS and it.Version must
// be what Gets returned. See Add for the copies.
func (c *Client) CompareAndSwap(ctx context.Context, it item.Item) (item.Outcome, error) {
	const op = "cas"
	if it.CAS == 0 {
		// 0 means "no compare" on the wire: it would overwrite whatever is there.
		return item.Outcome{}, &item.Error{Op: op, Sent: item.NotSent, Err: noToken{}}
	}
	return c.store(ctx, op, it, 0, it.CAS)
}

// noToken is the ErrCASConflict of an item that came without a token: whoever reads it again in the same
// way would have it for ever.
type noToken struct{}

func (noToken) Error() string {
	return "memherd: the item has no CAS token: read it by Gets, GetsMulti or GetWith, which ask for one"
}

func (noToken) Is(target error) bool { return target == item.ErrCASConflict }

func (c *Client) store(ctx context.Context, op string, it item.Item, mode memproto.Mode, cas uint64) (item.Outcome, error) {
	var req memproto.Request
	err := c.storeRequest(op, &it, &req)
	if err != nil {
		return item.Outcome{}, err
	}
	if mode != 0 {
		req.Flags |= memproto.FlagM
		req.Mode = mode
	}
	if cas != 0 {
		req.Flags |= memproto.FlagC
		req.CAS = cas
	}
	k, out, err := c.onOwner(ctx, op, it.Key, req, it.Version)
	if err != nil {
		return out, err
	}
	defer k.Free()
	switch k.Resp.Status {
	case memproto.StatusHD:
		out.Confirmed++
		return out, nil
	case memproto.StatusEX:
		return out, item.ErrCASConflict
	case memproto.StatusNF:
		return out, item.ErrCacheMiss
	}
	return out, item.ErrNotStored
}

// onOwner runs req on the owner of key, after deleting the other copies. The call it
// returns holds the reply and must be freed. v, if not zero, is where a CAS token
// came from.
func (c *Client) onOwner(ctx context.Context, op, key string, req memproto.Request, v item.Version) (*pipe.Call, item.Outcome, error) {
	if err := c.check(ctx, op, key); err != nil {
		return nil, item.Outcome{}, err
	}
	c.counters.sets.Add(1)
	var mem [maxCopies]*node
	t, hash, copies := c.ownerOf(ctx, key, mem[:0])
	owner := copies[0]
	if err := ctx.Err(); err != nil {
		c.counters.errors.Add(1)
		return nil, item.Outcome{}, &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: err}
	}
	if v != (item.Version{}) && (v.Node != owner.Name || v.Life != owner.life.Load()) {
		return nil, item.Outcome{}, item.ErrCASConflict
	}
	if t.handingOver(hash) && !c.cfg.FailoverRMW {
		c.counters.errors.Add(1)
		return nil, item.Outcome{}, &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: errMoving}
	}
	if owner.breaker.Readable() && (len(copies) > 1 || t.moving()) {
		if err := owner.reach(ctx, op); err != nil {
			c.counters.errors.Add(1)
			return nil, item.Outcome{}, asOwnerDown(err)
		}
	}
	seen := owner.memory()
	if !owner.breaker.Readable() || owner.debt.Blocks(key) || c.cold.nodes.Load() > 0 && t.tainted(hash, key, owner) {
		c.counters.errors.Add(1)
		return nil, item.Outcome{}, &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: item.ErrOwnerDown}
	}
	c.near.Drop(hash, key)
	defer c.wrote(hash, key)
	if c.cold.nodes.Load() > 0 {
		if err := c.bringHome(ctx, op, t, hash, key, owner); err != nil {
			c.counters.errors.Add(1)
			return nil, item.Outcome{}, err
		}
		if err := ctx.Err(); err != nil { // before anything is deleted
			c.counters.errors.Add(1)
			return nil, item.Outcome{}, &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: err}
		}
	}
	c.tellSpare(ctx, op, hash, key)
	w := writing{c: c, op: op, key: key, always: true}
	began := time.Now()
	before, after := t.strays(hash)
	w.strays(ctx, before)
	w.deleteAll(ctx, copies[1:], key)
	w.out.Copies++
	if err := ctx.Err(); err != nil {
		// The caller has left before the owner's turn: it can be told for sure that
		// nothing was granted or counted.
		c.counters.errors.Add(1)
		return nil, w.out, &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: err}
	}
	var late pipe.Settler
	switch {
	case ctx.Done() == nil:
	case len(copies)+len(before)+len(after) == 1:
		late = lateAlone
	default:
		late = lateRMW{began: began, others: append(slices.Clone(before), slices.Clone(copies[1:])), after: after}
	}
	f := c.launchRMW(ctx, op, t, hash, key, copies, &req, v.Life, seen, late)
	left, err := f.wait(ctx)
	if left {
		owner.debt.Flight(key, 1)
	}
	err = asOwnerDown(err)
	if err == nil {
		if err = f.refusal(); err != nil {
			if errors.Is(err, item.ErrNotNumber) && c.midMove(ctx, op, key, owner) {
				err = &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: errMoving}
			}
			w.out.Refused++
			f.call.Free()
		}
	}
	if err != nil {
		if len(after) > 0 && !item.SafeToRetry(err) {
			// It may have been carried out; nobody waits for what follows.
			late := writing{c: c, op: op, key: key}
			c.group.Go(func() { late.strays(c.ctx, after) })
		}
		if errors.Is(err, item.ErrLeaseLost) {
			return nil, w.out, item.ErrCASConflict
		}
		c.counters.errors.Add(1)
		return nil, w.out, err
	}
	w.strays(ctx, after)
	w.catchUp(ctx, t, hash)
	if len(copies)+len(before)+len(after) > 1 && time.Since(began) > hold {
		again := writing{c: c, op: op, key: key, always: true} // see deleteKey
		again.strays(ctx, before)
		again.deleteAll(ctx, copies[1:], key)
		again.strays(ctx, after)
	}
	return f.call, w.out, nil
}

// reach sees to it that n has a connection. What goes before n's turn takes the key from the other nodes that have it: so n has to be
// there, and whether it has lost its memory must be known.
func (n *node) reach(ctx context.Context, op string) error {
	_, err := n.conn(ctx, 0)
	if err == nil {
		return nil
	}
	f := flight{n: n, call: n.newCall(), op: op}
	f.dialFailed(ctx, err)
	return f.err
}

// launchRMW sends req to the first of copies, under a life of it if that is not 0. That it has a new epoch, and so may have been given back
// what this client has deleted, may be learned with the very connection that is made for this: so the request is sent under the life of which
// that has been looked at last. seen is of when that was first: if nothing has become of it since, what the owner may have been given back is known,
// and that this very call has come to owe deletes to copies that are down is no reason to refuse it, behind its other deletes.
func (c *Client) launchRMW(ctx context.Context, op string, t *topology, hash uint64, key string, copies []*node, req *memproto.Request, under uint64, seen memory, late pipe.Settler) flight {
	owner := copies[0]
	for range 3 {
		k := owner.newCall()
		conn, err := owner.conn(ctx, len(req.Value))
		if err != nil {
			f := flight{n: owner, call: k, op: op}
			f.dialFailed(ctx, err)
			return f
		}
		life := under
		if life == 0 {
			life = conn.Stamp()
		}
		if c.cold.nodes.Load() > 0 && owner.memory() != seen && t.tainted(hash, key, owner) {
			k.Free()
			break
		}
		k.Req, k.Under, k.Settler, k.SettleKey = *req, life, late, key
		if f := owner.launchRead(ctx, op, k); under != 0 || !errors.Is(f.err, item.ErrLeaseLost) {
			return f
		}
	}
	return flight{n: owner, op: op, err: &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: item.ErrOwnerDown}}
}

// asOwnerDown makes it ErrOwnerDown as well, if only the operation itself shows that its owner can't be reached.
func asOwnerDown(err error) error {
	var e *item.Error
	if !errors.Is(err, item.ErrNodeDown) || !errors.As(err, &e) {
		return err
	}
	return &item.Error{Op: e.Op, Node: e.Node, Sent: e.Sent, Err: fmt.Errorf("%w: %w", item.ErrOwnerDown, e.Err)}
}

// ownerFirst puts who plays the owner's part for key at the head of copies, and returns it:
// the owner, or, with FailoverRMW and while that is down, the next copy that can. An owner that is up, and not to be read for
// what this client alone knows of the key, plays its part to all others.
func (c *Client) ownerFirst(copies []*node, key string) *node {
	if c.cfg.FailoverRMW && !copies[0].breaker.Readable() {
		for i, n := range copies {
			if n.breaker.Readable() && !n.debt.Blocks(key) {
				copies[0], copies[i] = copies[i], copies[0]
				break
			}
		}
	}
	return copies[0]
}

// lateRMW is the Settler of an abandoned read-modify-write that began then: until its reply is in,
// this client doesn't read the key. It never becomes debt: the owner's is the only
// copy, and deleting a lock or a counter because one caller left would break it for
// all the others. What was copied from the owner meanwhile, to others if it has taken longer than hold, or to nodes that are to be copies, is
// deleted there, as onOwner does.
type lateRMW struct {
	began         time.Time
	others, after [][]*node
}

// lateAlone is that of a key that is nowhere else: it costs no memory.
var lateAlone pipe.Settler = lateRMW{}

func (l lateRMW) Settle(conn *pipe.Conn, k *pipe.Call) {
	n := nodeOf(conn)
	n.debt.Flight(k.SettleKey, -1)
	if k.Err != nil {
		return
	}
	groups := l.after
	if time.Since(l.began) > hold {
		groups = slices.Concat(l.others, l.after)
	}
	if len(groups) > 0 {
		again := writing{c: n.c, op: "repeat", key: k.SettleKey, always: true}
		n.c.group.Go(func() { again.strays(n.c.ctx, groups) })
	}
}
