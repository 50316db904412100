package hotkey

// sketch is a count-min sketch (Cormode, Muthukrishnan: "An Improved Data Stream Summary", J. Algorithms 55, 2005) with
// conservative update (Estan, Varghese: "New Directions in Traffic Measurement and Accounting", SIGCOMM 2002): of a
// key's cells only those at the minimum grow, because the others already over-count it. An estimate is never under the
// true count since the last halving, up to the cells' limit of 65,535, which a key only reaches when it takes more than
// a sixteenth of a default window without ever entering the heavy table.
//
// Each stripe of the detector owns one sketch and guards it with its try-lock, so cells are plain memory and an update
// of several cells cannot interleave with another's: lock-free cells would lose increments exactly where conservative
// update has no slack. What is lost instead is the whole access of a caller who finds the stripe busy.
type sketch struct {
	cells []uint16 // sketchRows rows of width cells
	mask  uint64   // width − 1
	width uint64
}

const (
	sketchRows = 4
	cellBytes  = 2
	cellMax    = 1<<16 - 1
)

func newSketch(bytes int) sketch {
	width := uint64(bytes / (sketchRows * cellBytes))
	return sketch{cells: make([]uint16, sketchRows*width), mask: width - 1, width: width}
}

// places returns the cells of a mixed hash, one per row, from disjoint bits of a second mix: the heavy table uses the
// first.
func (s *sketch) places(m uint64) [sketchRows]uint64 {
	h := m * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	var p [sketchRows]uint64
	for i := range p {
		p[i] = uint64(i)*s.width + (h>>(16*i))&s.mask
	}
	return p
}

func (s *sketch) min(p *[sketchRows]uint64) uint16 {
	v := s.cells[p[0]]
	for _, i := range p[1:] {
		v = min(v, s.cells[i])
	}
	return v
}

// add counts one access and returns the key's new estimate.
func (s *sketch) add(m uint64) uint32 {
	p := s.places(m)
	v := s.min(&p)
	if v == cellMax {
		return cellMax
	}
	v++
	for _, i := range p {
		if s.cells[i] < v {
			s.cells[i] = v
		}
	}
	return uint32(v)
}

// raise makes the key's estimate at least count: the heavy table hands back what it counted for a key that leaves.
func (s *sketch) raise(m uint64, count uint32) {
	v := uint16(min(count, cellMax))
	for _, i := range s.places(m) {
		if s.cells[i] < v {
			s.cells[i] = v
		}
	}
}

// estimate returns at least the number of accesses counted for the key.
func (s *sketch) estimate(m uint64) uint32 {
	p := s.places(m)
	return uint32(s.min(&p))
}

// halve ages the sketch k times at once.
func (s *sketch) halve(k uint32) {
	for i, c := range s.cells {
		s.cells[i] = c >> k
	}
}
