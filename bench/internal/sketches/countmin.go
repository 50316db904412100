package sketches

import "math/rand/v2"

// A cell of either sketch is 4 bytes and a row's width any number: the memory given is used up.
const (
	rows      = 4
	cellBytes = 4
)

// hashes draws one multiplier a row.
func hashes(seed uint64) (out [rows]uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range out {
		out[i] = r.Uint64() | 1
	}
	return out
}

// place is a key's cell in a row of so many.
func place(key, mult uint64, width int) int {
	h := (key ^ key>>29) * mult
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return int((h >> 32) * uint64(width) >> 32)
}

// CountMin is the plain count-min sketch (Cormode, Muthukrishnan, J. Algorithms 55, 2005) with the k keys that it
// believes largest.
type CountMin struct {
	*TopK
	mult  [rows]uint64
	cells [rows][]uint32
}

// NewCountMin returns one of so many bytes of cells that keeps k keys.
func NewCountMin(bytes, k int, seed uint64) *CountMin {
	c := &CountMin{TopK: NewTopK(k), mult: hashes(seed)}
	for i := range c.cells {
		c.cells[i] = make([]uint32, bytes/cellBytes/rows)
	}
	return c
}

// Add counts one of key.
func (c *CountMin) Add(key uint64) {
	est := ^uint32(0)
	for i := range c.cells {
		cell := &c.cells[i][place(key, c.mult[i], len(c.cells[i]))]
		*cell++
		est = min(est, *cell)
	}
	c.Offer(key, est)
}

// HeavyKeeper is the sketch of Yang, Zhang, Li, Gong and others ("HeavyKeeper: An Accurate Algorithm for Finding Top-k
// Elephant Flows", IEEE/ACM ToN 27(5), 2019): cells belong to one key's fingerprint, and another key's access takes
// one off the count with a probability that falls exponentially with it.
type HeavyKeeper struct {
	*TopK
	mult  [rows]uint64
	cells [rows][]keeper
	decay []float64 // by count, until it is next to nothing
	rng   *rand.Rand
}

type keeper struct{ print, count uint16 }

// decayBase is b of the paper, with the value its authors use.
const decayBase = 1.08

// NewHeavyKeeper returns one of so many bytes of cells that keeps k keys.
func NewHeavyKeeper(bytes, k int, seed uint64) *HeavyKeeper {
	h := &HeavyKeeper{TopK: NewTopK(k), mult: hashes(seed), rng: rand.New(rand.NewPCG(seed, 8))}
	for i := range h.cells {
		h.cells[i] = make([]keeper, bytes/cellBytes/rows)
	}
	for p := 1.0; p > 1e-9; p /= decayBase {
		h.decay = append(h.decay, p)
	}
	return h
}

// Add counts one of key.
func (h *HeavyKeeper) Add(key uint64) {
	print, est, held := uint16(key*0x9e3779b97f4a7c15>>48), uint16(0), h.Holds(key)
	for i := range h.cells {
		c := &h.cells[i][place(key, h.mult[i], len(h.cells[i]))]
		switch {
		case c.count == 0:
			*c = keeper{print, 1}
			est = max(est, 1)
		case c.print == print:
			// A key that is not among the largest yet counts no further than the smallest of
			// those plus one: more is somebody else's, of the same fingerprint.
			if (held || uint32(c.count) <= h.Least()) && c.count < 1<<16-1 {
				c.count++
			}
			est = max(est, c.count)
		case int(c.count) < len(h.decay) && h.rng.Float64() < h.decay[c.count]:
			if c.count--; c.count == 0 {
				*c = keeper{print, 1}
				est = max(est, 1)
			}
		}
	}
	if held || uint32(est) > h.Least() {
		h.Offer(key, uint32(est))
	}
}
