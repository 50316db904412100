package client

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A copy is cold when its node has a new epoch, or has just joined the fleet: what it
// should hold is on the key's other copies. For ColdWindow a miss there is no miss yet: who
// wins the right to fill the key asks the other copies first (restore.go), and a hit on
// one copy brings the key back to those that are cold (revive.go). So nodes may be restarted
// one after the other without losing their keys (consistency rules 1 and 4).

// cold is what a client knows of its cold copies.
type cold struct {
	// nodes is 0 while no node is cold and no change of the fleet under way, in anybody's eyes, so that reads need look
	// no further.
	nodes atomic.Int64
	// reads counts hits while any node was cold, revived the copies asked for because of
	// them: the latter stay within reviveShare of the former.
	reads, revived atomic.Int64
}

// coldNode is a node's part of it.
type coldNode struct {
	until atomic.Int64 // since Client.born, in nanoseconds; 0 for never
	mu    sync.Mutex   // guards seen
	seen  []uint64     // a bit for each key that this client has revived there, by hash
	set   int          // bits set in it
}

// seenBits is how many keys are told apart. One that is taken for another is left to other
// clients, or to its own miss; when half of the bits are set all are forgotten, and
// some keys are seen to twice, which costs a request.
const seenBits = 1 << 18

// chill makes the node cold from now on.
func (n *node) chill() {
	window := n.c.cfg.ColdWindow
	if window < 0 || n.c.cfg.ReplicationFactor < 2 {
		return
	}
	n.forgetSeen()
	n.coldness.until.Store(int64(time.Since(n.c.born) + window))
	n.c.cold.nodes.Add(1) // at least; see thaw
}

// memory tells one memory of a node from another: conn returns none on a later one before this says so.
type memory struct {
	life uint64
	cold int64
}

func (n *node) memory() memory { return memory{n.life.Load(), n.coldness.until.Load()} }

// forgetSeen has every key be seen to anew.
func (n *node) forgetSeen() {
	n.coldness.mu.Lock()
	n.coldness.seen, n.coldness.set = nil, 0
	n.coldness.mu.Unlock()
}

// cold reports whether a miss on the node may be no miss.
func (n *node) cold() bool {
	until := n.coldness.until.Load()
	return until != 0 && int64(time.Since(n.c.born)) < until
}

// lostAfter is how long a node that has left the fleet must have been down to count as lost.
const lostAfter = 2 * time.Second

// lost reports whether nobody can read what n held, as far as one client can know: nothing
// listens there any more, or it has left the fleet and has been down for a while. Were what
// such a node is owed to bar reads, every replaced node that is turned off would turn the
// keys written since into load on the origin, until its window is over.
func (t *topology) lost(n *node) bool {
	if n.breaker.Writable() {
		return false
	}
	return n.refused.Load() || !slices.Contains(t.wanted(), n) && n.deadSince(time.Now().Add(-lostAfter))
}

// first reports whether the key with this hash has not been seen to on this node since it
// is cold, or the fleet changed, and takes it that it is now.
func (n *node) first(hash uint64) bool {
	n.coldness.mu.Lock()
	defer n.coldness.mu.Unlock()
	if n.coldness.seen == nil {
		n.coldness.seen = make([]uint64, seenBits/64)
	}
	at := hash % seenBits
	word, bit := &n.coldness.seen[at/64], uint64(1)<<(at%64)
	if *word&bit != 0 {
		return false
	}
	if n.coldness.set++; n.coldness.set > seenBits/2 {
		clear(n.coldness.seen)
		n.coldness.set = 1
	}
	*word |= bit
	return true
}

// thaw counts the cold nodes anew. maintain calls it once a second.
func (c *Client) thaw() {
	if c.cold.nodes.Load() == 0 {
		return
	}
	// A node that chills between the count and the swap is not lost: the swap fails.
	before, now := c.cold.nodes.Load(), int64(0)
	t, windows := c.top.Load(), 0
	for _, p := range t.past {
		if p.source {
			windows++
		}
	}
	if t.doubted() {
		now++
	}
	for _, n := range t.all {
		if n.coldToSome() {
			now++
		}
		if windows == 0 && !n.cold() {
			n.forgetSeen()
		}
	}
	c.cold.nodes.CompareAndSwap(before, now)
}
