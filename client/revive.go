package client

import (
	"context"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Reviving: a key that was found on one copy is brought back to those of its copies that
// are cold, so that they have it when their turn comes. Nobody waits for it. One goroutine
// does it for all, in three steps for many keys at a time: it takes the right to fill them on
// the cold copies, waits for hold, reads them anew from a copy that has them, and fills.

const (
	// reviveShare: one copy is brought back for so many reads at most.
	reviveShare = 20
	// reviveBurst is how many there may be at the beginning.
	reviveBurst = 256
	// maxRevivals bounds the keys under way; those beyond it get another chance.
	maxRevivals = 8192
	// reviveTick is how long keys are collected.
	reviveTick = 10 * time.Millisecond
)

// reviver holds the keys that wait to be revived.
type reviver struct {
	mu      sync.Mutex // guards what follows; a leaf
	queue   []revival
	pending int  // taken from queue and not done
	running bool // its goroutine is
}

// revival is one key for one cold copy.
type revival struct {
	key    string
	hash   uint64
	target *node
	tok    item.Token // won, or not
	won    bool
	it     item.Item
	found  bool
}

// revive sees to the other copies of a key that was found on n. It is called for every
// hit while some node is cold or a migration window open.
func (c *Client) revive(hash uint64, key string, n *node) {
	reads := c.cold.reads.Add(1)
	t := c.top.Load()
	for _, at := range t.ring.LookupHash(hash) {
		target := t.nodes[at]
		if target == n || !target.cold() && !t.gained(hash, target) {
			continue
		}
		if c.cold.revived.Load() >= reads/reviveShare+reviveBurst {
			return
		}
		c.reviveOn(hash, key, target)
	}
}

// reviveOn brings a key back to one copy that lacks it, unless that has been done.
func (c *Client) reviveOn(hash uint64, key string, target *node) {
	if !target.breaker.Readable() || target.debt.Blocks(key) {
		return
	}
	c.reviver.mu.Lock()
	defer c.reviver.mu.Unlock()
	if len(c.reviver.queue)+c.reviver.pending < maxRevivals && target.first(hash) {
		c.cold.revived.Add(1)
		c.reviver.queue = append(c.reviver.queue, revival{key: key, hash: hash, target: target})
		if !c.reviver.running {
			c.reviver.running = c.group.Go(c.runReviver)
		}
	}
}

// runReviver works until nothing is left to do.
func (c *Client) runReviver() {
	type flock struct {
		due time.Time
		rs  []revival
	}
	var waiting []flock
	tick := time.NewTicker(reviveTick)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			// Leases that were taken run out.
			return
		case <-tick.C:
		}
		c.reviver.mu.Lock()
		rs := c.reviver.queue
		c.reviver.queue = nil
		c.reviver.pending += len(rs)
		c.reviver.mu.Unlock()
		ctx, cancel := context.WithTimeout(c.ctx, 4*c.cfg.Timeout)
		done := len(rs)
		if len(rs) > 0 {
			if won := c.reviveTokens(ctx, rs); len(won) > 0 {
				waiting = append(waiting, flock{time.Now().Add(hold), won})
				done -= len(won)
			}
		}
		for len(waiting) > 0 && !time.Now().Before(waiting[0].due) {
			c.reviveFill(ctx, waiting[0].rs)
			done += len(waiting[0].rs)
			waiting = waiting[1:]
		}
		cancel()
		c.reviver.mu.Lock()
		c.reviver.pending -= done
		if len(c.reviver.queue) == 0 && len(waiting) == 0 {
			c.reviver.running = false
			c.reviver.mu.Unlock()
			return
		}
		c.reviver.mu.Unlock()
	}
}

// reviveTokens takes the right to fill where nothing is, and returns those that won it.
func (c *Client) reviveTokens(ctx context.Context, rs []revival) (won []revival) {
	o := c.leaseRead(0, memproto.FlagLc|memproto.FlagLf|memproto.FlagLs)
	ts := make([]target, len(rs))
	for i := range rs {
		ts[i] = target{rs[i].target, i}
	}
	b := batch{c: c, op: "revive", allowed: func(n *node) bool { return n.breaker.Readable() },
		request: func(i int, k *pipe.Call) { o.request(&k.Req, rs[i].key) },
		settler: lateLease{}, key: func(i int) string { return rs[i].key },
		each: func(t target, f *flight, left bool, err error) {
			r := &rs[t.i]
			if err != nil {
				t.n.orphanLease(r.key, o.flags, left, err)
				return
			}
			a := &f.call.Answer
			if a.Resp.Status != memproto.StatusHD || !a.Resp.Flags.Has(memproto.FlagW) || a.Resp.CAS == 0 {
				return
			}
			kind := tokenKind(a)
			if kind != item.TokenStub {
				postHandBack(f.conn, r.key, a.Resp.CAS, false)
				return
			}
			r.tok = item.Token{Version: item.Version{Node: t.n.Name, Life: f.life}, CAS: a.Resp.CAS, Kind: kind, Won: true}
			r.won = true
		},
	}
	b.run(ctx, ts)
	for _, r := range rs {
		if r.won {
			won = append(won, r)
		}
	}
	return won
}

// likelySources are the nodes at which the value of a key for target may be found: the copies that
// have had it for long, those that had it before the fleet changed, and the others last.
func (t *topology) likelySources(hash uint64, key string, target *node) []*node {
	var mem [2 * maxCopies]*node
	var likely, others []*node
	for _, n := range t.everywhere(hash, false, mem[:0]) {
		switch {
		case !n.source(target, key):
		case n.cold() || t.lists(hash, n) && t.gained(hash, n):
			others = append(others, n)
		default:
			likely = append(likely, n)
		}
	}
	return append(likely, others...)
}

// reviveFill reads the keys anew and fills them in; what is gone meanwhile is given back.
func (c *Client) reviveFill(ctx context.Context, rs []revival) {
	t := c.top.Load()
	sources := make([][]*node, len(rs))
	for i := range rs {
		sources[i] = t.likelySources(rs[i].hash, rs[i].key, rs[i].target)
	}
	read := batch{c: c, op: "revive", allowed: func(n *node) bool { return n.breaker.Readable() },
		request: func(i int, k *pipe.Call) { k.Req = readRequest(rs[i].key) },
		settler: lateRead{}, key: func(i int) string { return rs[i].key },
		each: func(t target, f *flight, _ bool, err error) {
			if err != nil {
				return
			}
			r, a := &rs[t.i], &f.call.Answer
			if a.Resp.Flags.Has(memproto.FlagW) {
				c.handBack(ctx, f, a, r.key)
			}
			r.it, r.found = itemOf(r.key, a), sound(a)
		},
	}
	var ts []target
	for at := 0; ; at++ {
		ts = ts[:0]
		for i := range rs {
			if !rs[i].found && at < len(sources[i]) {
				ts = append(ts, target{sources[i][at], i})
			}
		}
		if len(ts) == 0 {
			break
		}
		read.run(ctx, ts)
	}
	reqs := make([]memproto.Request, len(rs))
	for i := range rs {
		r, err := &rs[i], error(nil)
		if r.found {
			err = c.storeRequest("revive", &r.it, &reqs[i])
		}
		if !r.found || err != nil {
			c.giveBack(&item.Lease{Key: r.key, Tokens: []item.Token{r.tok}})
			continue
		}
		ts = append(ts, target{r.target, i})
	}
	fill := batch{c: c, op: "revive", allowed: func(n *node) bool { return n.breaker.Writable() },
		request: func(i int, k *pipe.Call) {
			k.Req, k.Under = reqs[i], rs[i].tok.Life
			k.Req.Flags |= memproto.FlagC
			k.Req.CAS = rs[i].tok.CAS
		},
		each: func(t target, f *flight, _ bool, err error) {
			if err != nil {
				t.n.orphanWin(rs[t.i].key, rs[t.i].tok)
				return
			}
			if f.call.Resp.Status == memproto.StatusHD {
				c.counters.restored.Add(1)
			}
		},
	}
	fill.run(ctx, ts)
}
