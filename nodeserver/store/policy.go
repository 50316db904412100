package store

import "fmt"

// Policy says which items go when room is needed.
type Policy uint8

// The policies. All of them drop what has expired first.
const (
	// LRU drops what was not used for longest. Large items are in exact order; the
	// others go by the segment: its items that were used since it was filled stay, the
	// latest three quarters at most.
	LRU Policy = iota
	// S3FIFO keeps new items in a queue of a fifth of the memory, from which only those
	// go on to the main queue that were used again, or come back soon after they went
	// (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023; there
	// the queue is a tenth, and two uses are asked for).
	S3FIFO
	// LFU drops what was used least, counted with a memory that fades: a count is
	// halved whenever its item has been passed over.
	LFU
	numPolicies
)

var policyNames = [numPolicies]string{"lru", "s3fifo", "lfu"}

// String is the policy's name on the command line.
func (p Policy) String() string {
	if p < numPolicies {
		return policyNames[p]
	}
	return "?"
}

// ParsePolicy finds a policy by its name.
func ParsePolicy(name string) (Policy, error) {
	for p, n := range policyNames {
		if n == name {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("store: no eviction policy %q: there are lru, s3fifo and lfu", name)
}

const (
	// maxFrequency is how far S3FIFO counts the uses of an item.
	maxFrequency = 3
	// smallShare of the memory is S3FIFO's small queue. With a tenth, and two uses before
	// an item goes on, popular keys that are new are thrown out too often where the keys
	// drift: half a point below memcached at 30 % of the bytes, where this is above it.
	// The price is half a point where keys stay the same, of three or more above memcached.
	smallShare = 5
	// ghostShare of as many items as are stored is how many dropped ones are remembered.
	// Older ones come back by chance.
	ghostShare = 2
)

// firstQueue is where a new item goes.
func (sh *shard) firstQueue(h uint64) queue {
	if sh.policy != S3FIFO || sh.ghosts.take(h, sh.index.items) {
		return mainQueue
	}
	return smallQueue
}

// firstRank is what a new item's rank is.
func (sh *shard) firstRank(now uint32) uint16 {
	t := sh.tick(now)
	if sh.policy == LRU {
		return uint16(t)
	}
	return 0
}

// used notes an access to the record at addr in its rank: for LRU the moment, for the
// others how often.
func (sh *shard) used(addr uint32, r record, now uint32) {
	switch sh.policy {
	case LRU:
		r.setRank(uint16(sh.tick(now)))
		if id := addr >> sh.offBits; sh.segs[id].large {
			sh.toFront(id, mainQueue)
		}
	case S3FIFO:
		if n := r.rank(); n < maxFrequency {
			r.setRank(n + 1)
		}
	case LFU:
		if n := r.rank(); n < 1<<rankBits-1 {
			r.setRank(n + 1)
		}
	}
}

// worth orders the records of segment s when room is made: 0 is dropped at once, of the
// others the least.
func (sh *shard) worth(s *segment, r record) stamp {
	switch sh.policy {
	case LRU:
		if at := stampOf(r.access(), r.rank()); at > s.sealed {
			return at
		}
		return 0
	}
	return stamp(r.rank())
}

// passed is called for a record that stays.
func (sh *shard) passed(s *segment, r record) {
	switch {
	case sh.policy == LFU:
		r.setRank(r.rank() / 2)
	case sh.policy == S3FIFO && s.queue == smallQueue:
		r.setRank(0)
	case sh.policy == S3FIFO && r.rank() > 0:
		r.setRank(r.rank() - 1)
	}
}

// ghosts remembers the hashes of items that S3FIFO's small queue has dropped.
type ghosts struct {
	// table is addressed by hash; an entry is 32 bits of the hash and the number of the
	// drop. A newer one simply replaces an older.
	table []uint64
	drops uint32
}

// ghostBytes is how much memory of a shard there is per remembered item.
const ghostBytes = 1024

// dropped is called for an item that leaves segment s for want of room, before it goes.
func (sh *shard) dropped(s *segment, h uint64) {
	if s.queue != smallQueue {
		return
	}
	g := &sh.ghosts
	if g.table == nil {
		g.table = make([]uint64, ghostsHold(sh.maxBytes)/8)
		sh.held += g.held()
	}
	g.drops++
	g.table[int(h)&(len(g.table)-1)] = h>>32<<32 | uint64(g.drops)
}

// ghostsHold is how many bytes the table of a shard of so many bytes has.
func ghostsHold(maxBytes int64) int64 {
	n := int64(16)
	for n < maxBytes/ghostBytes {
		n *= 2
	}
	return 8 * n
}

// forgetDropped gives the memory of what is remembered back.
func (sh *shard) forgetDropped() {
	sh.held -= sh.ghosts.held()
	sh.ghosts = ghosts{}
}

// held is the memory of the table in bytes.
func (g *ghosts) held() int64 { return int64(len(g.table)) * 8 }

// take reports whether h was among the latest drops, and forgets it; items is how many
// are stored now.
func (g *ghosts) take(h uint64, items int) bool {
	if g.table == nil {
		return false
	}
	e := &g.table[int(h)&(len(g.table)-1)]
	if *e>>32 != h>>32 || int(g.drops-uint32(*e)) > items/ghostShare {
		return false
	}
	*e = 0
	return true
}
