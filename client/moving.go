package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Read-modify-write needs the value on the owner, and one owner. When the fleet has changed
// it is refused for as long as other clients may still take another node for the owner,
// and after that the value is brought from the old owner first (consistency rules 10, 17). If the owner's
// node has lost its memory, the value is brought from another copy first: what runs on the owner deletes it there.

// errMoving is why a read-modify-write is refused: try again later.
var errMoving = fmt.Errorf("%w: the key is moving to another node, or about to be filled", item.ErrOwnerDown)

// bringPause is how often bringHome looks again.
const bringPause = 20 * time.Millisecond

// bringHome sees to it that owner has what key's old copies have, or, if its node is cold to anybody, the others. It returns nil when it has, or
// when none has anything: an old copy that is lost counts as lost with what it held, but one that
// can't be read just now does not, or a lock could be granted twice. A key whose owner was a copy
// already before the fleet changed takes hold to get there.
// The error is errMoving, that of the context, or a failure of the owner; always that the operation was not sent.
func (c *Client) bringHome(ctx context.Context, op string, t *topology, hash uint64, key string, owner *node) error {
	if !t.moved(hash, owner) && !owner.coldToSome() {
		return nil
	}
	fail := func(err error) error {
		return &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: err}
	}
	for end := time.Now().Add(2 * hold); ; {
		a, err := c.readCopy(ctx, op, owner, key)
		switch {
		case err != nil:
			return unsent(err)
		case a.Resp.Status == memproto.StatusVA && !isStub(&a):
			return nil
		case isStub(&a):
			// Somebody is about to fill it.
		default:
			_, found := c.lookAround(ctx, op, t, hash, key, owner, true)
			switch {
			case found == foundNothing, found == foundUnclear && (c.cfg.FailoverRMW || !t.moved(hash, owner) && t.endless(hash)):
				return nil
			case ctx.Err() != nil:
				return fail(ctx.Err())
			case found == foundUnclear:
				return fail(errMoving)
			}
			switch done, err := c.bring(ctx, op, t, hash, key, owner); {
			case err != nil:
				return unsent(err)
			case done && time.Now().Before(end):
				continue
			}
		}
		if time.Now().After(end) {
			return fail(errMoving)
		}
		if err := c.idle(ctx, bringPause); err != nil {
			return fail(err)
		}
	}
}

// endless reports whether a copy of a key is on a node that can't say when a value ends, so that nobody can bring it from there.
func (t *topology) endless(hash uint64) bool {
	return slices.ContainsFunc(t.ring.LookupHash(hash), func(at uint16) bool { return t.nodes[at].capability().tier == Tier0 })
}

// unsent is an error of what goes before the operation itself, of which nothing has been sent then.
func unsent(err error) error {
	var e *item.Error
	if !errors.As(err, &e) {
		return err
	}
	return asOwnerDown(&item.Error{Op: e.Op, Node: e.Node, Sent: item.NotSent, Err: e.Err})
}

// bring copies key to owner from where it is, by rule 4. done says that it tried, and had the right to.
func (c *Client) bring(ctx context.Context, op string, t *topology, hash uint64, key string, owner *node) (done bool, err error) {
	tok, _, what, err := owner.winStub(ctx, op, key, c.leaseRead(0, restoreFlags))
	if what != stubWon {
		return false, err // or somebody else is bringing it, or it is there
	}
	giveBack := func() { c.giveBack(&item.Lease{Key: key, Tokens: []item.Token{tok}}) }
	if t.shared(hash, owner) || owner != t.owner(hash) {
		if err := c.idle(ctx, hold); err != nil {
			giveBack()
			return false, &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: err}
		}
	}
	it, found := c.lookAround(ctx, op, t, hash, key, owner, true)
	if found != foundValue {
		giveBack()
		return false, nil
	}
	c.refill(ctx, op, owner, tok, it)
	return true, nil
}

// idle waits for d; the error is the context's, or ErrClosed.
func (c *Client) idle(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return item.ErrClosed
	}
}

// midMove reports whether a counter that was refused as no number met a stub, or has become one by now:
// another client is bringing it, or about to fill it, and this one need not know from where. Its
// own window may be over, or it may not have switched. Nothing was counted.
func (c *Client) midMove(ctx context.Context, op, key string, owner *node) bool {
	a, err := c.readCopy(ctx, op, owner, key)
	if err != nil || a.Resp.Status != memproto.StatusVA {
		return false
	}
	_, notNumber := strconv.ParseUint(strings.TrimRight(string(a.Value), " "), 10, 64)
	return isStub(&a) || notNumber == nil
}
