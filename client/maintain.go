package client

import (
	"context"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
)

// pingInterval is how often an idle connection is tried.
const pingInterval = time.Second

// maintain pings connections that nobody uses, so that one the node has shed, or a
// node that has hung, is found before a caller finds it. It runs from the first
// connection until Close.
func (c *Client) maintain() {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		var wg sync.WaitGroup
		for _, n := range c.top.Load().nodes {
			if !n.breaker.Writable() {
				continue
			}
			for i := range n.conns {
				if k := n.conns[i].Load(); k != nil && !k.Dead() && k.Pending() == 0 {
					wg.Go(func() { c.ping(k) })
				}
			}
		}
		wg.Wait()
	}
}

// ping asks for a sign of life. What it learns, the connection tells its node: an
// overdue reply kills it.
func (c *Client) ping(conn *pipe.Conn) {
	ctx, cancel := context.WithTimeout(c.ctx, 2*c.cfg.Timeout)
	defer cancel()
	k := c.calls.New()
	k.Req.Cmd = memproto.CmdMetaNoop
	if conn.Start(ctx, k) != nil {
		k.Free()
		return
	}
	if conn.Wait(ctx, k) {
		k.Free()
	}
}
