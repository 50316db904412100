package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// FlushAll empties every node of the fleet, for all its users, not only for this
// client: what was stored before is gone, what is stored after stays. The error joins
// the failures of nodes that were not flushed; it is SafeToRetry if none was.
func (c *Client) FlushAll(ctx context.Context) error { return c.FlushAllAfter(ctx, 0) }

// FlushAllAfter has every node empty itself when delay has passed, by the node's clock:
// what is stored until then goes, too. 0 is at once; anything else is rounded as
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
	done, err := c.everyNode(ctx, op, c.everyone(), req, func(*node, *pipe.Call) {})
	if err != nil && done > 0 {
		return partly(op, err)
	}
	return err
}

// FlushNode empties one node when delay has passed, as FlushAllAfter does all of them.
// A name that no node has is ErrConfig.
func (c *Client) FlushNode(ctx context.Context, name string, delay time.Duration) error {
	const op = "flush"
	if err := c.checkCall(ctx, op); err != nil {
		return err
	}
	req, err := flushRequest(delay)
	n := byName(c.everyone(), name)
	if err == nil && n == nil {
		err = configError("FlushNode: no node is named %q", name)
	}
	if err == nil && !n.breaker.Writable() {
		err = item.ErrNodeDown
	}
	if err != nil {
		return &item.Error{Op: op, Node: name, Sent: item.NotSent, Err: err}
	}
	c.near.DropNode(name)
	defer c.near.DropNode(name)
	k := n.newCall()
	k.Req = req
	f := n.launch(ctx, op, k)
	if _, err = f.wait(ctx); err == nil {
		err = f.refusal()
		f.call.Free()
	}
	if err != nil {
		c.counters.errors.Add(1)
	}
	return err
}

func flushRequest(delay time.Duration) (memproto.Request, error) {
	exp, err := exptime(delay)
	if err == nil && exp < 0 {
		err = item.ErrBadTTL // Expired means nothing here
	}
	return memproto.Request{Cmd: memproto.CmdFlushAll, Exptime: exp, HasDelay: exp != 0}, err
}
