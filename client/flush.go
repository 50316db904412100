package client

import (
	"context"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// FlushAll empties every node of the fleet, for all its users, not only for this
// client: what was stored before is gone, what is stored after stays; what is stored meanwhile may go. The error joins
// the failures of nodes that were not flushed; it is SafeToRetry if none was.
func (c *Client) FlushAll(ctx context.Context) error { return c.FlushAllAfter(ctx, 0) }

// FlushAllAfter has every node empty itself when delay has passed, by the node's clock:
// what is stored until then goes, too, but for what is brought from a node that is late to one that has done so: see Config.ColdWindow. 0 is at once; anything else is rounded as
// Item.TTL is, and a later flush_all takes its place. A negative delay is ErrBadTTL.
// Errors are those of FlushAll.
func (c *Client) FlushAllAfter(ctx context.Context, delay time.Duration) error {
	const op = "flush all"
	req, err := flushRequest(delay)
	if err != nil {
		return &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	c.near.DropAll()
	defer c.near.DropAll()
	// Who misses a key on a node that is empty already may bring it there from one that is not yet. So all are emptied once more when all have
	// been, and until that takes less than hold: who brings keys to another copy than the owner waits for so long.
	for try := 0; ; try++ {
		began, nodes := time.Now(), c.everyone()
		done, err := c.everyNode(ctx, op, nodes, req, func(*node, *pipe.Call) {})
		switch {
		case err != nil && (done > 0 || try > 0):
			return partly(op, err)
		case err != nil || len(nodes) == 1 || delay != 0 || try > 0 && time.Since(began) <= hold || try == maxRepeats:
			return err
		}
	}
}

// FlushNode empties one node when delay has passed, as FlushAllAfter does all of them. One that moves to
// another address is emptied at both. A name that no node has is ErrConfig.
func (c *Client) FlushNode(ctx context.Context, name string, delay time.Duration) error {
	const op = "flush"
	if err := c.checkCall(ctx, op); err != nil {
		return err
	}
	req, err := flushRequest(delay)
	nodes := c.namedAlive(name)
	if err == nil && len(nodes) == 0 {
		err = configError("FlushNode: no node is named %q", name)
	}
	if err != nil {
		return &item.Error{Op: op, Node: name, Sent: item.NotSent, Err: err}
	}
	c.near.DropNode(name)
	defer c.near.DropNode(name)
	done, err := c.everyNode(ctx, op, nodes, req, func(*node, *pipe.Call) {})
	if err != nil && done > 0 {
		return partly(op, err)
	}
	return err
}

// namedAlive is named without addresses at which nobody can read any more what was there, unless there are no others.
func (c *Client) namedAlive(name string) []*node {
	t, all := c.top.Load(), c.named(name)
	if alive := slices.DeleteFunc(slices.Clone(all), t.lost); len(alive) > 0 {
		return alive
	}
	return all
}

func flushRequest(delay time.Duration) (memproto.Request, error) {
	exp, err := exptime(delay)
	if err == nil && exp < 0 {
		err = item.ErrBadTTL // Expired means nothing here
	}
	return memproto.Request{Cmd: memproto.CmdFlushAll, Exptime: exp, HasDelay: exp != 0}, err
}
