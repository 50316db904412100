package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
)

// pingInterval is how often a connection is tried.
const pingInterval = time.Second

// maintain pings the connections, so that one the node has shed, or a node that has hung,
// is found before a caller finds it, and an epoch that is over soon. It runs from the first
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
		c.thaw()
		c.measure()
		c.forgetAsked()
		c.chooseScattered()
		var wg sync.WaitGroup
		t := c.top.Load()
		for _, n := range c.everyone() {
			if !n.breaker.Writable() {
				continue
			}
			if n.met() && !n.connected() {
				// What is held of it, in memory or as tokens, is worth what its epoch is worth.
				wg.Go(func() { n.reachable() })
				continue
			}
			next := true
			for i := range n.conns {
				if k := n.conns[i].Load(); k != nil && !k.Dead() {
					first := next
					next = false
					wg.Go(func() { c.ping(n, k, first, first && slices.Contains(t.nodes, n)) })
				}
			}
		}
		wg.Wait()
	}
}

// ping asks for a sign of life. What it learns, the connection tells its node: an
// overdue reply kills it. first says that it is the first of the node's connections, compare that placements are
// compared, too.
func (c *Client) ping(n *node, conn *pipe.Conn, first, compare bool) {
	ctx, cancel := context.WithTimeout(c.ctx, 2*c.cfg.Timeout)
	defer cancel()
	n.introduce(ctx, conn)
	if c.cfg.EpochKey != NoEpoch {
		n.checkEpoch(ctx, conn)
		if compare && n.met() {
			n.agree(ctx, conn)
		}
		if first && n.met() && !n.spare {
			n.publish(ctx, conn)
		}
		return
	}
	if conn.Pending() > 0 {
		return
	}
	_, _ = n.exchange(ctx, conn, memproto.Request{Cmd: memproto.CmdMetaNoop})
}
