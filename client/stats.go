package client

import (
	"context"
	"errors"
	"sync"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Stats returns each node's "stats", by node name and statistic. Nodes that could
// not be asked are missing, and the error joins their failures.
func (c *Client) Stats(ctx context.Context) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	var mu sync.Mutex // guards out
	err := c.everyNode(ctx, "stats", memproto.Request{Cmd: memproto.CmdStats}, func(n *node, k *pipe.Call) {
		m := make(map[string]string, len(k.Stats)/2)
		for i := 0; i+1 < len(k.Stats); i += 2 {
			m[k.Stats[i]] = k.Stats[i+1]
		}
		mu.Lock()
		out[n.Name] = m
		mu.Unlock()
	})
	return out, err
}

// Ping asks every node for a sign of life, dialling those not yet connected: call it
// after New to learn at once of a wrong address. The error joins the failures of all
// nodes that did not answer. A node whose breaker is open is asked nothing and fails.
func (c *Client) Ping(ctx context.Context) error {
	return c.everyNode(ctx, "ping", memproto.Request{Cmd: memproto.CmdMetaNoop}, func(*node, *pipe.Call) {})
}

// FlushAll empties every node of the fleet, for all its users, not only for this
// client. The error joins the failures of nodes that were not flushed.
func (c *Client) FlushAll(ctx context.Context) error {
	c.near.DropAll()
	defer c.near.DropAll()
	return c.everyNode(ctx, "flush all", memproto.Request{Cmd: memproto.CmdFlushAll}, func(*node, *pipe.Call) {})
}

// everyNode sends req to all nodes at once and hands the replies to each.
func (c *Client) everyNode(ctx context.Context, op string, req memproto.Request, each func(n *node, k *pipe.Call)) error {
	if err := c.checkCall(ctx, op); err != nil {
		return err
	}
	nodes := c.top.Load().nodes
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		if !n.breaker.Writable() {
			errs[i] = &item.Error{Op: op, Node: n.Name, Sent: item.NotSent, Err: item.ErrNodeDown}
			continue
		}
		// One goroutine a node, joined below: the dials of nodes not yet connected
		// must not wait for one another.
		wg.Go(func() {
			k := n.newCall()
			k.Req = req
			f := n.launch(ctx, op, k)
			_, err := f.wait(ctx)
			if err == nil {
				if err = f.refusal(); err == nil {
					each(n, f.call)
				}
				f.call.Free()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.counters.errors.Add(1)
		return err
	}
	return nil
}
