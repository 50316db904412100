package client

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Steering sends reads past the owner of a key, to another of its copies.
//
// A node that answers, but slowly, is not down, and its breaker is no help. Once a
// second the client compares how long the nodes took, and reads of keys whose owner is
// slow go to the next copy, except a few that tell when it is well again. A miss there
// asks the owner before it is a miss (consistency rule 12); writes and leases go where they always go.
//
// The same way reads go to the copy in Config.ReadZone, where the owner is elsewhere, and those of hot keys to any copy: see
// spread.go.

const (
	// slowFactor is how many times as long as the others' median a node's must be.
	slowFactor = 4
	// wellFactor is below how many times it counts as well again.
	wellFactor = 2
	// slowLeast is the shortest median that counts as slow: below it what differs is noise.
	slowLeast = 2 * time.Millisecond
	// slowProbe: one read of so many goes to a slow owner all the same.
	slowProbe = 64
)

// measure compares the nodes. maintain calls it once a second.
func (c *Client) measure() {
	nodes := c.top.Load().nodes
	medians := make([]time.Duration, len(nodes)) // 0: not known
	var all []time.Duration
	for i, n := range nodes {
		var took []time.Duration
		for j := range n.conns {
			if k := n.conns[j].Load(); k != nil {
				took = append(took, k.Took()...)
			}
		}
		medians[i] = median(took)
		all = append(all, took...)
	}
	if c.cfg.HedgeAfter == HedgeAuto {
		c.hedging.pace(all)
	}
	slow := int64(0)
	for i, n := range nodes {
		var others []time.Duration
		for j, m := range medians {
			if j != i && m > 0 {
				others = append(others, m)
			}
		}
		fleet := median(others)
		switch is, m := n.slow.Load(), medians[i]; {
		case m == 0 || fleet == 0:
			// Nobody to ask, or nobody to compare with: as it was.
		case !is && m >= slowLeast && m > slowFactor*fleet:
			n.slow.Store(true)
			c.cfg.Hooks.nodeSlow(n.Name, m, fleet)
		case is && (m < slowLeast || m < wellFactor*fleet):
			n.slow.Store(false)
		}
		if n.slow.Load() {
			slow++
		}
	}
	c.slow.Store(slow)
}

// median is the middle one, the lower of two; 0 of none.
func median(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[(len(ds)-1)/2]
}

// steers reports whether any read may go to another copy than the home copy.
func (c *Client) steers() bool { return c.spreads() || c.cfg.ReadZone != "" || c.slow.Load() > 0 }

// detour is the position in t.nodes of the copy to read instead of an owner that is slow, or
// in another zone than reads prefer, or of one of a hot key's copies; -1 if the owner is to be read.
func (c *Client) detour(t *topology, hash uint64, key string) int {
	if !c.steers() {
		return -1
	}
	zone := c.cfg.ReadZone
	if zone == "" && c.spreads() {
		if at := c.spread(t, hash, key); at >= 0 {
			return at
		}
	}
	list := t.ring.LookupHash(hash)
	owner := t.nodes[list[0]]
	slow := owner.slow.Load() && rand.IntN(slowProbe) > 0
	away := zone != "" && t.ring.Node(list[0]).Zone != zone // by the list in force: the node may have been in another one before
	if !slow && !away {
		return -1
	}
	best := -1
	for _, at := range list[1:] {
		n := t.nodes[at]
		if n.slow.Load() || !c.mayAsk(t, n, hash, key) {
			continue
		}
		if zone == "" || t.ring.Node(at).Zone == zone {
			return int(at)
		}
		if slow && best < 0 {
			best = int(at)
		}
	}
	return best
}

// readAround reads key from another copy if that is where it should be read. It returns false
// if not, or if the other copy has no sound value: then the owner has to be asked.
func (c *Client) readAround(ctx context.Context, op string, hash uint64, key string) (item.Item, bool) {
	t := c.top.Load()
	at := c.detour(t, hash, key)
	if at < 0 {
		return item.Item{}, false
	}
	n := t.nodes[at]
	a, err := c.readCopy(ctx, op, n, key)
	if err != nil || !valid(&a) || !c.mayAsk(t, n, hash, key) { // the last may have been learned with the connection, see trusted
		return item.Item{}, false
	}
	c.counters.nodeHits.Add(1)
	c.countDetour(t, hash)
	if c.cold.nodes.Load() > 0 {
		c.revive(hash, key, n)
	}
	c.detector.Observe(hash, key, len(a.Value))
	return itemOf(key, &a), true
}

// countDetour counts a read that another copy than the owner has served.
func (c *Client) countDetour(t *topology, hash uint64) {
	owner := t.nodes[t.ring.LookupHash(hash)[0]]
	if owner.slow.Load() || c.cfg.ReadZone != "" {
		c.counters.steered.Add(1)
		return
	}
	c.counters.spread.Add(1)
}

// readCopy reads key from n, whichever copy that is, and gives back a win it draws.
func (c *Client) readCopy(ctx context.Context, op string, n *node, key string) (pipe.Answer, error) {
	k := n.newCall()
	k.Req = readRequest(key)
	if ctx.Done() != nil {
		k.Settler, k.SettleKey = lateRead{}, key
	}
	f := n.launchRead(ctx, op, k)
	if _, err := f.wait(ctx); err != nil {
		return pipe.Answer{}, err
	}
	defer f.call.Free()
	if f.call.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(ctx, &f, &f.call.Answer, key)
	}
	return f.call.Answer, nil
}
