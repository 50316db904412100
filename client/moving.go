package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Read-modify-write needs the value on the owner, and one owner. When the fleet has changed
// it is refused for as long as other clients may still take another node for the owner,
// and after that the value is brought from the old owner first (consistency rules 10, 17).

// errMoving is why a read-modify-write is refused: try again later.
var errMoving = fmt.Errorf("%w: the key is moving to another node, or about to be filled", item.ErrOwnerDown)

// bringPause is how often bringHome looks again.
const bringPause = 20 * time.Millisecond

// bringHome sees to it that owner has what key's old copies have. It returns nil when it has, or
// when none has anything: an old copy that can't be read counts as lost with what it held.
// A key whose owner was a copy already before the fleet changed takes hold to get there.
// The error is errMoving, that of the context, or a failure of the owner.
func (c *Client) bringHome(ctx context.Context, op string, t *topology, hash uint64, key string, owner *node) error {
	if !t.moved(hash, owner) {
		return nil
	}
	var mem [2 * maxCopies]*node
	copies := t.everywhere(hash, mem[:0])
	fail := func(err error) error {
		return &item.Error{Op: op, Node: owner.Name, Sent: item.NotSent, Err: err}
	}
	for end := time.Now().Add(2 * hold); ; {
		a, err := c.readCopy(ctx, op, owner, key)
		switch {
		case err != nil:
			return err
		case a.Resp.Status == memproto.StatusVA && !isStub(&a):
			return nil
		case isStub(&a):
			// Somebody is about to fill it.
		default:
			if _, there := c.readSources(ctx, op, copies, owner, key); !there {
				return nil
			}
			c.restore(ctx, op, t, hash, key, owner, nil)
			if !t.shared(hash, owner) {
				continue
			}
		}
		if time.Now().After(end) {
			return fail(errMoving)
		}
		pause := time.NewTimer(bringPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fail(ctx.Err())
		case <-c.ctx.Done():
			pause.Stop()
			return fail(item.ErrClosed)
		}
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
