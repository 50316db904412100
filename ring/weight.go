package ring

import "math/bits"

// Weighted rendezvous ranks nodes by -log(u)/w, the smallest first, where u in (0, 1] is
// the node's draw for the slot and w its weight (Schindelhauer and Schomaker 2005):
// the minimum of exponential variables falls to each node in proportion to its
// weight, and no node's value depends on another's weight. Floating-point logarithms
// differ between CPU architectures in their last bits, so cost computes -log2(u) in
// fixed point, from a table that is itself made by integer arithmetic.

const (
	costBits = 57 // fraction bits of a cost: at most 64 in value, it fits in 64 bits
	segBits  = 10 // logarithm of the number of table segments
)

// logTable holds log2(1+i/1024) with costBits fraction bits, rounded down.
type logTable [1<<segBits + 1]uint64

func newLogTable() *logTable {
	t := new(logTable)
	for i := range t {
		if i == 1<<segBits {
			t[i] = 1 << costBits
			break
		}
		t[i] = log2Mantissa(1<<63 + uint64(i)<<(63-segBits))
	}
	return t
}

// log2Mantissa returns log2(m / 2^63) for m ≥ 2^63, one bit at a time: squaring a
// number doubles its logarithm, and where the square reaches 2 that bit is one.
func log2Mantissa(m uint64) uint64 {
	var log uint64
	for range costBits {
		hi, lo := bits.Mul64(m, m) // m² with 126 fraction bits, in [1, 4)
		log <<= 1
		if hi>>63 == 1 {
			log |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return log
}

// cost returns -log2((h+1) / 2^64) with costBits fraction bits. It never increases
// with h: equal weights are ranked by h alone. Between table entries it is a chord
// of the logarithm, which lies below the curve, so cost is never less than the true
// value; the error is under 0.03 % of it.
//
//go:norace
func (t *logTable) cost(h uint64) uint64 {
	x := h + 1
	if x == 0 {
		return 0 // u is 1
	}
	n := bits.LeadingZeros64(x)
	m := x << n // the leading one is now bit 63
	i := m >> (63 - segBits) & (1<<segBits - 1)
	frac := m << (segBits + 1) // position within the segment, in 2^-64
	rise, _ := bits.Mul64(t[i+1]-t[i], frac)
	return uint64(n+1)<<costBits - (t[i] + rise)
}

// minCost is a bound that is never above cost(h), cheaper by far: -log2(u) ≥ 1-u.
func minCost(h uint64) uint64 { return ^h >> (64 - costBits) }

// leastScore is the smallest score that can be within the limit, a cost per unit of weight,
// for a node no heavier than weight: minCost of any smaller one is over limit times weight.
func leastScore(limit, weight uint64) uint64 {
	hi, most := bits.Mul64(limit, weight)
	if hi != 0 || most >= 1<<costBits-1 {
		return 0
	}
	return -((most + 1) << (64 - costBits))
}

// candidate is a node's draw for a slot. Where all weights are equal, cost and
// weight stay zero and hash alone decides.
type candidate struct {
	hash   uint64
	cost   uint64
	weight uint32
	node   uint16
}

// before tells whether a ranks before b. Quotients of cost and weight are compared
// exactly, as 128-bit cross products; equal ones by hash, then by name. That is
// a total order, and any two nodes of equal weight stand in it as their hashes do.
//
//go:norace
func (a *candidate) before(b *candidate) bool {
	if a.cost != b.cost || a.weight != b.weight {
		ahi, alo := bits.Mul64(a.cost, uint64(b.weight))
		bhi, blo := bits.Mul64(b.cost, uint64(a.weight))
		if ahi != bhi {
			return ahi < bhi
		}
		if alo != blo {
			return alo < blo
		}
	}
	if a.hash != b.hash {
		return a.hash > b.hash
	}
	return a.node < b.node
}
