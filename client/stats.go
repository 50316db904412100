package client

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// StatsGroup is a group of statistics that a node keeps.
type StatsGroup string

// The groups. What is in each, and what it counts, is memcached's business: see its
// protocol.txt.
const (
	StatsGeneral  StatsGroup = ""         // what Stats returns
	StatsSettings StatsGroup = "settings" // how the node was started
	StatsItems    StatsGroup = "items"    // items by slab class: "items:1:number"
	StatsSlabs    StatsGroup = "slabs"    // memory by slab class: "1:chunk_size"
	StatsSizes    StatsGroup = "sizes"    // items by size, where the node counts them
	StatsConns    StatsGroup = "conns"    // connections: "30:addr", addresses of clients among it
)

// Stats returns each node's general statistics, by node name and statistic. Nodes that
// could not be asked are missing, and the error joins their failures.
func (c *Client) Stats(ctx context.Context) (map[string]map[string]string, error) {
	return c.StatsOf(ctx, StatsGeneral)
}

// StatsOf returns a group of each node's statistics, as Stats does. A group that is none
// of the constants is ErrConfig, and nothing is sent.
func (c *Client) StatsOf(ctx context.Context, group StatsGroup) (map[string]map[string]string, error) {
	const op = "stats"
	switch group {
	case StatsGeneral, StatsSettings, StatsItems, StatsSlabs, StatsSizes, StatsConns:
	default:
		return nil, &item.Error{Op: op, Sent: item.NotSent, Err: configError("no group of statistics is named %q", string(group))}
	}
	out := map[string]map[string]string{}
	var mu sync.Mutex // guards out
	req := memproto.Request{Cmd: memproto.CmdStats, Args: []byte(group)}
	_, err := c.everyNode(ctx, op, c.listed(), req, func(n *node, k *pipe.Call) {
		m := make(map[string]string, len(k.Stats)/2)
		for i := 0; i+1 < len(k.Stats); i += 2 {
			m[k.Stats[i]] = k.Stats[i+1]
		}
		mu.Lock()
		defer mu.Unlock()
		tellOf(c, out, n, m)
	})
	return out, err
}

// Versions returns each node's version ("1.6.18"), by node name. Nodes that could not
// be asked are missing, and the error joins their failures.
func (c *Client) Versions(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	var mu sync.Mutex // guards out
	_, err := c.everyNode(ctx, "version", c.listed(), memproto.Request{Cmd: memproto.CmdVersion}, func(n *node, k *pipe.Call) {
		mu.Lock()
		defer mu.Unlock()
		tellOf(c, out, n, k.Text)
	})
	return out, err
}

// tellOf notes what n has answered under its name. Of a node that moves to another address what it says at the one in force counts.
func tellOf[V any](c *Client, out map[string]V, n *node, answer V) {
	if _, told := out[n.Name]; !told || slices.Contains(c.top.Load().nodes, n) {
		out[n.Name] = answer
	}
}

// Ping asks every node for a sign of life, dialling those not yet connected, and those that join: call it
// after New or SetNodes to learn at once of a wrong address. The error joins the failures of all
// nodes that did not answer. A node whose breaker is open is asked nothing and fails, with what opened it: of other calls
// only those that found it so have that in their errors.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.everyNode(ctx, "ping", c.listed(), memproto.Request{Cmd: memproto.CmdMetaNoop}, func(*node, *pipe.Call) {})
	return err
}

// everyNode sends req to all of nodes at once and hands the replies to each. done is how
// many nodes did what was asked.
func (c *Client) everyNode(ctx context.Context, op string, nodes []*node, req memproto.Request, each func(n *node, k *pipe.Call)) (done int, err error) {
	if err := c.checkCall(ctx, op); err != nil {
		return 0, err
	}
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		if !n.breaker.Writable() {
			errs[i] = n.refusal(op)
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
	for _, err := range errs {
		if err == nil {
			done++
		}
	}
	if err := errors.Join(errs...); err != nil {
		c.counters.errors.Add(1)
		return done, err
	}
	return done, nil
}
