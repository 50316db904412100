package client

import (
	"math/rand/v2"

	"github.com/memherd/memherd/hotkey"
)

// Reads of hot keys are spread over the copies (consistency rule 12): of two copies drawn at random the one with
// fewer requests of this client under way is asked. That evens the nodes' load out nearly as well as asking the least
// loaded of all, and does not have every client pick the same one (Mitzenmacher: "The Power of Two Choices in Randomized
// Load Balancing", IEEE TPDS 12(10), 2001). Every copy has at least the newest version that all have confirmed, so
// the promise about staleness holds wherever a read goes; a miss there asks the owner before it is one.

// spreads reports whether any reads are: with Config.HotKeys and two copies or more.
func (c *Client) spreads() bool { return c.cfg.HotKeys != nil && c.cfg.ReplicationFactor > 1 }

// worthReads is how many reads an entry must have answered for the next one to be worth a read of the owner.
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
		if reads, ok := c.near.Recent(hash, key); ok && reads >= worthReads {
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
	if b.inFlight.Load() < a.inFlight.Load() {
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

// mayAsk reports whether any copy's answer may come from n: it is up and owed no write of key (consistency rule 7),
// and neither it nor the key's place is new.
func (c *Client) mayAsk(t *topology, n *node, hash uint64, key string) bool {
	return n.breaker.Readable() && !n.debt.Blocks(key) && !n.cold() && !t.gained(hash, n)
}
