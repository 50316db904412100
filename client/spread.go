package client

import (
	"math/rand/v2"
	"slices"

	"github.com/memherd/memherd/hotkey"
)

// Reads of hot keys are spread over the copies (consistency rule 12): of two copies drawn at random the one with
// fewer requests of this client under way is asked. That evens the nodes' load out nearly as well as asking the least
// loaded of all, and does not have every client pick the same one (Mitzenmacher: "The Power of Two Choices in Randomized
// Load Balancing", IEEE TPDS 12(10), 2001).
//
// A client of many nodes has next to nothing under way at any of them, and would toss a coin. So of two copies with as many under
// way that is asked which this client has sent fewer requests to of late, whatever they were for: what is fixed, the
// reads of cold keys and of what near entries need from their owner, weighs on some nodes more than on others, and hot keys,
// which have a choice, make up for it. Clients that see the same traffic need not know of each other for that: if
// each shares out its own requests evenly, so is their sum.
//
// Every copy has at least the newest version that all have confirmed, so
// the promise about staleness holds wherever a read goes; a miss there asks the owner before it is one.

// spreads reports whether any reads are: with Config.HotKeys and two copies or more.
func (c *Client) spreads() bool { return c.cfg.HotKeys != nil && c.cfg.ReplicationFactor > 1 }

// worthReads is how many reads an entry must have answered for the next one to be worth a read of the owner. An owner that was asked for more
// than its share, which keys that have a choice did not make up for, is read only for an entry that has answered as many as would be renewed:
// the others' reads go wherever they weigh least, and when that evens it out, memory is filled again.
const worthReads = 2

// spread is the position in t.nodes of the copy to read a hot key from; -1 if the owner is to be read. Where the near-cache
// serves a key, its reads go to the owner: an entry is filled and validated from the home copy only. A key that is among
// the hottest and still read too seldom for memory to answer anything within X has its reads spread like others; when the owner
// is drawn, memory tries again.
func (c *Client) spread(t *topology, hash uint64, key string) int {
	level := c.detector.Level(hash, key)
	if level == hotkey.LevelCold {
		return -1
	}
	if level >= nearLevel {
		if reads, ok := c.near.Recent(hash, key); ok && reads >= worthReads && (reads >= sweepReads || !t.overAsked(hash)) {
			return -1
		}
	}
	list := t.ring.LookupHash(hash)
	// An owner that is down, owed the key or cold has rules of its own.
	if len(list) < 2 || !c.mayAsk(t, t.nodes[list[0]], hash, key) || t.nodes[list[0]].slow.Load() {
		return -1
	}
	i := rand.IntN(len(list))
	j := rand.IntN(len(list) - 1)
	if j >= i {
		j++
	}
	a, b := t.nodes[list[i]], t.nodes[list[j]]
	if idler(b, a) {
		i, j, a, b = j, i, b, a
	}
	if !c.mayAsk(t, a, hash, key) || a.slow.Load() {
		if !c.mayAsk(t, b, hash, key) || b.slow.Load() {
			return -1
		}
		i = j
	}
	if i == 0 {
		return -1
	}
	return int(list[i])
}

// evenFrom is from how many nodes on that matters: from there on n·ln n is more than the 128 keys that the hottest level has at least, so
// that it is as large as it is for balance. On fewer nodes it is for latency, and memory serves what it can.
const evenFrom = 40

// overAsked reports whether the owner was asked for a fiftieth more of late than some other copy.
func (t *topology) overAsked(hash uint64) bool {
	list := t.ring.LookupHash(hash)
	bears := t.nodes[list[0]].burden()
	return len(t.nodes) >= evenFrom && slices.ContainsFunc(list[1:], func(at uint16) bool { return bears > 1.02*t.nodes[at].burden() })
}

// idler reports whether a is to be asked rather than b.
func idler(a, b *node) bool {
	if x, y := a.inFlight.Load(), b.inFlight.Load(); x != y {
		return x < y
	}
	return a.burden() < b.burden()
}

// burden is what n was asked of late, by its weight: a node of twice the weight is given twice the keys, and bears twice as much.
func (n *node) burden() float64 { return float64(n.asked.Load()) / float64(max(1, n.Weight)) }

// countAsked counts requests sent to n, where they decide anything.
func (n *node) countAsked(requests int) {
	if n.c.spreads() || n.c.scattering.cfg.Copies > 0 {
		n.asked.Add(int64(requests))
	}
}

// forgetAsked halves what is counted, so that what counts is the last seconds, and a node that was away for longer is
// not asked for long to make up for it. maintain calls it once a second.
func (c *Client) forgetAsked() {
	for _, n := range c.top.Load().nodes {
		n.asked.Add(-n.asked.Load() / 2) // less what is counted between the two: no matter
	}
}

// mayAsk reports whether any copy's answer may come from n: it is up and owed no write of key (consistency rule 7),
// and neither it nor the key's place is new, nor can others have given it what this client owes elsewhere.
func (c *Client) mayAsk(t *topology, n *node, hash uint64, key string) bool {
	return n.breaker.Readable() && !n.debt.Blocks(key) && (c.cold.nodes.Load() == 0 || !n.cold() && !t.gained(hash, n) && !t.tainted(hash, key, n))
}
