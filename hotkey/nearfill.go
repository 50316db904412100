package hotkey

import (
	"slices"
	"strings"
	"time"
)

// Put offers a value that a get brought. gen is the key's Generation from before that get was sent, sentAt (with its
// monotonic reading, as from time.Now) the moment it was sent. The value's bytes are copied. It reports whether the
// value is held now; it is refused
//   - if the generation has moved: an own write overtook the get,
//   - if its deadline, sentAt + the smaller of X and v.TTL, or of X and Config.MissTTL for a miss, has passed,
//   - if what is held came from a get sent later: two answers must not go back in time,
//   - if v.Bytes is longer than Config.MaxValueBytes.
//
// A refusal for size drops what is held for the key. What must never come here at all: stubs, stale-marked values,
// values from a gutter node or of a refused fill.
func (n *Near) Put(hash uint64, key string, v Value, gen uint64, sentAt time.Time) bool {
	if n.Off() {
		return false
	}
	h := n.mixer.mix(hash)
	sent := int64(sentAt.Sub(n.base))
	size := int64(len(key)) + int64(len(v.Bytes)) + entryOverhead
	if len(v.Bytes) > n.maxValue || size > n.limit {
		n.refused.Add(1)
		n.Drop(hash, key)
		return false
	}
	e := &entry{hash: h, ringHash: hash, key: strings.Clone(key), value: v, size: size, sentAt: sent, x: n.staleness(key)}
	e.value.Bytes = slices.Clip(slices.Clone(v.Bytes))
	if v.Missing {
		e.value.Bytes, e.x = nil, min(e.x, n.missTTL)
	}
	if e.x == 0 {
		return false
	}
	e.seal.put(e.value.Bytes)
	if v.TTL > 0 {
		e.hard = sent + int64(v.TTL)
	}
	deadline := e.serves(sent, e.hard)
	e.deadline.Store(deadline)

	// From the check of the generation to the publication the stripe is held: see Drop.
	g := n.stripe(h)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n.Load() != gen || n.since() >= deadline {
		n.refused.Add(1)
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.table.Load().find(h, key); old != nil {
		if old.sentAt > sent {
			n.refused.Add(1)
			return false
		}
		// Between this and the publication below readers miss: harmless, and the byte bound holds at every moment.
		n.discard(old)
	}
	for n.bytes+size > n.limit {
		_, victim, ok := n.recent.GetOldest()
		if !ok {
			break // nothing is held, and size ≤ limit
		}
		n.discard(victim)
		n.evicted++
	}
	n.bytes += size
	n.recent.Add(e.key, e)
	t := n.table.Load().roomy(n.recent.Len())
	t.place(e)
	n.table.Store(t)
	return true
}

// serves is until when a value validated by a request sent at sent may serve.
func (e *entry) serves(sent, hard int64) int64 {
	d := sent + e.x
	if hard != 0 {
		d = min(d, hard)
	}
	return d
}

// Entry is a value that InUse found worth another look.
type Entry struct {
	Hash  uint64 // the ring's hash of Key
	Key   string
	CAS   uint64 // what the node must still answer
	Node  string
	Epoch uint64
	Reads int           // since the last validation; counting stops at 64
	TTL   time.Duration // for Renew: what the node says the value still has to live; 0 = no news
}

// InUse returns the entries that were read at least min times since they were last validated (min is capped at 64),
// least recently validated first, for one round of re-validation: take the Generation of each, send, and Renew those
// whose CAS the node confirms. Entries read less are left to expire; those that expired more than 2·X ago are removed
// on the way, so a caller who calls once per X keeps the memory clean. Remembered misses are not among them.
func (n *Near) InUse(min int) []Entry { return n.inUse(min, false) }

// Due returns those of InUse that have served for half of their X or longer. Who calls it four times per X has the
// time for an answer, and asks about an entry once in half of X at most.
func (n *Near) Due(min int) []Entry { return n.inUse(min, true) }

func (n *Near) inUse(min int, due bool) []Entry {
	if n.Off() {
		return nil
	}
	if min > readsCounted {
		min = readsCounted
	}
	var out []Entry
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.since()
	for _, e := range n.recent.Values() { // oldest first
		reads := int(e.reads.Load())
		switch {
		case e.deadline.Load()+2*e.x < now:
			n.discard(e)
		case e.value.Missing, due && now-e.sentAt < e.x/2:
		case reads >= min:
			out = append(out, Entry{Hash: e.ringHash, Key: e.key, CAS: e.value.CAS, Node: e.value.Node, Epoch: e.value.Epoch, Reads: reads})
		}
	}
	return out
}

// Renew extends an entry from InUse whose CAS its node has confirmed, in the same epoch, by a request sent at sentAt
// before which gen was taken. It reports whether the entry serves on; it is refused like a Put, and when the entry has
// meanwhile gone or been replaced by another version.
func (n *Near) Renew(e Entry, gen uint64, sentAt time.Time) bool {
	if n.Off() {
		return false
	}
	h := n.mixer.mix(e.Hash)
	sent := int64(sentAt.Sub(n.base))
	g := n.stripe(h)
	g.mu.Lock()
	defer g.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	held := n.table.Load().find(h, e.Key)
	if held == nil || g.n.Load() != gen ||
		held.value.CAS != e.CAS || held.value.Node != e.Node || held.value.Epoch != e.Epoch || held.sentAt > sent {
		n.refused.Add(1)
		return false
	}
	hard := held.hard
	if e.TTL > 0 {
		hard = sent + int64(e.TTL)
	}
	deadline := held.serves(sent, hard)
	if n.since() >= deadline {
		n.refused.Add(1)
		return false
	}
	held.seal.check(held.value.Bytes)
	held.hard, held.sentAt = hard, sent
	held.deadline.Store(deadline)
	n.exact += uint64(held.reads.Swap(0))
	n.recent.Get(held.key) // recency: in use
	return true
}
