package ring

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// slotBits is the logarithm of the number of slots. Each slot is an independent
// draw, so the spread of shares narrows with the square root of their number.
// Measured over 20 fleets, worst node: with 2^18 slots the share at 100 nodes is
// 1.075 of the mean and one heir of a dead node gets 1.68 of its fair part of the
// dead node's keys (any node dead: 1.98); with 2^20 1.032 and 1.35 (1.45). A lookup
// costs the same, since it touches one list; the price is 2 MiB of table per copy.
const (
	slotBits  = 20
	slotCount = 1 << slotBits
	slotShift = 64 - slotBits
)

// Ring is an immutable placement: which nodes own a key. It is safe for
// concurrent use by any number of goroutines. The zero value is of no use; make
// one with New.
type Ring struct {
	// What a lookup reads comes first, on one cache line. Of the circle only a ketama ring
	// has all; a slot table has no places and no buckets, and shift selects the slot.
	circle
	copies int
	mixed  bool // Hash is more than the key's xxhash64

	tag         keyTag
	nodes       []Node // sorted by Name
	fingerprint uint64
	cfg         Config // without Nodes

	// like is the ring that the table was compiled for, nil if it is this one. It lives as long as those that share
	// its table: who remembers rings weakly, to make others by WithNodes, need remember the first only.
	like *Ring
}

// New validates cfg and compiles it. It does no I/O and resolves no names;
// cfg is copied. The error wraps one of the package's sentinels.
//
// Compiling takes CPU time in proportion to the nodes: about 12 ms for 3, 25 ms
// for 10, 120 ms for 100 and 0.9 s for 1,000 (up to three times that with many weights),
// shared by GOMAXPROCS goroutines that end before New returns. Classic and ketama rings take
// less than 0.1 s, with MaxPoints about one.
func New(cfg Config) (*Ring, error) {
	p, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	r := &Ring{copies: p.copies, nodes: p.nodes, tag: p.tag, cfg: cfg}
	r.cfg.Nodes = nil
	switch cfg.Placement {
	case Ketama, KetamaHostPort:
		r.circle = compileCircle(newKetama(p))
	case Classic:
		r.circle = circle{table: compile(newClassic(p), p.copies), shift: slotShift}
	default: // plan has refused everything else
		r.circle = circle{table: compile(newRendezvous(p), p.copies), shift: slotShift}
	}
	r.mixed = r.places != nil || r.tag.on()
	r.fingerprint = fingerprint(p, &r.circle)
	if len(p.active) < len(p.nodes) {
		for i, n := range r.table {
			r.table[i] = uint16(p.active[n])
		}
	}
	if len(p.active) == 1 && r.places == nil {
		// One list serves all keys; a large table of it would only cost every lookup a
		// cache miss.
		r.table, r.shift = slices.Clone(r.table[:r.copies]), 64
	}
	return r, nil
}

// WithNodes returns a ring of other nodes and otherwise of the same settings. Its errors
// are New's. If the nodes differ in their addresses only, nothing is compiled, and the two
// rings share their table.
func (r *Ring) WithNodes(nodes []Node) (*Ring, error) {
	cfg := r.cfg
	cfg.Nodes = nodes
	p, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(p.nodes, r.nodes, func(a, b Node) bool {
		a.Addr = b.Addr // every algorithm places by name
		return a == b
	}) {
		return New(cfg)
	}
	moved := *r
	moved.nodes = p.nodes
	if moved.like == nil {
		moved.like = r
	}
	return &moved, nil
}

// Hash returns the 64-bit hash that decides where key lives. On a slot table that is
// the key's xxhash64, whose top 20 bits choose the slot; on a ketama ring the top 32 bits
// are the key's place on the circle. A key's tag, where Config.KeyTag turns tags on, takes the
// key's part in those bits. The bits below are always of the whole key's xxhash64: the hash
// is as good for counting and caching as for placing.
func (r *Ring) Hash(key string) uint64 {
	if r.mixed {
		return r.mixedHash(key)
	}
	return xxhash.Sum64String(key)
}

// Lookup returns the key's node list as indexes into Nodes(): the owner first,
// then the nodes that hold its other copies, each of which is next in line
// should those before it be down. Its length is Copies(). The list is shared by
// all callers and must not be written to. Lookup doesn't allocate.
func (r *Ring) Lookup(key string) []uint16 {
	if r.mixed {
		return r.LookupHash(r.mixedHash(key))
	}
	h := xxhash.Sum64String(key)
	i := int(h>>r.shift) * r.copies
	return r.table[i : i+r.copies : i+r.copies]
}

// LookupHash is Lookup for a key whose Hash is known.
func (r *Ring) LookupHash(h uint64) []uint16 {
	i := int(h >> r.shift)
	if r.places != nil {
		i = int(r.buckets[i])
		for r.places[i] < uint32(h>>32) {
			i++
		}
	}
	i *= r.copies
	return r.table[i : i+r.copies : i+r.copies]
}

// Owner returns the first node of the key's list.
func (r *Ring) Owner(key string) Node { return r.nodes[r.Lookup(key)[0]] }

// Nodes returns all nodes, drained ones included, in canonical form and sorted by
// Name, so that an index means the same node in every process that agrees on the
// names. The slice is a copy.
func (r *Ring) Nodes() []Node { return slices.Clone(r.nodes) }

// Node returns Nodes()[i] without copying the others.
func (r *Ring) Node(i uint16) Node { return r.nodes[i] }

// Len returns the number of nodes, drained ones included.
func (r *Ring) Len() int { return len(r.nodes) }

// Copies returns the length of every key's node list.
func (r *Ring) Copies() int { return r.copies }

// Fingerprint identifies the placement: it is equal for two rings if the same names
// take keys and every key has the same list of them, and different otherwise.
// Whatever changes a list (names, weights, zones, algorithm, copies) changes it;
// addresses, drained nodes and weights all doubled don't. It is the same on every
// machine and from release to release.
func (r *Ring) Fingerprint() uint64 { return r.fingerprint }

// Shares returns which fraction of the hash space each node owns, in the order of
// Nodes(). The fractions add up to 1.
func (r *Ring) Shares() []float64 {
	owned := make([]int64, len(r.nodes))
	total := int64(0)
	if r.places != nil {
		r.circle.shares(owned, r.copies)
		total = 1 << 32
	} else {
		for i := 0; i < len(r.table); i += r.copies {
			owned[r.table[i]]++
			total++
		}
	}
	shares := make([]float64, len(owned))
	for i, n := range owned {
		shares[i] = float64(n) / float64(total)
	}
	return shares
}

// String describes the ring for logs: "ring of 5 nodes, 2 copies, fingerprint 0123456789abcdef".
func (r *Ring) String() string {
	return fmt.Sprintf("ring of %d nodes, %d copies, fingerprint %016x", len(r.nodes), r.copies, r.fingerprint)
}
