package workload

import (
	"errors"
	"math"
	"math/rand/v2"
)

// Zipf asks for key i with a probability proportional to 1/(i+1)^s: key 0 is the
// hottest. The standard library's generator covers s > 1 only, and cache workloads
// are measured at 0.6 to 1.2, so the exact distribution is compiled into an alias
// table (Walker 1977, in Vose's linear-time construction, IEEE TSE 17(9), 1991): one
// draw costs one random number and one look into the table whatever n and s are.
type Zipf struct {
	prob  []float64 // chance of keeping column i
	alias []uint32  // the other key of column i
	s     float64
	norm  float64 // sum of 1/(i+1)^s
}

// NewZipf makes the distribution over n keys with exponent s >= 0 (0 is uniform).
func NewZipf(n int, s float64) (*Zipf, error) {
	if n < 1 {
		return nil, errNoKeys
	}
	if math.IsNaN(s) || s < 0 || s > 10 {
		return nil, errors.New("the Zipf exponent must lie between 0 and 10")
	}
	z := &Zipf{prob: make([]float64, n), alias: make([]uint32, n), s: s}
	for i := range n {
		z.prob[i] = math.Pow(float64(i+1), -s)
		z.norm += z.prob[i]
	}
	var small, large []uint32
	for i := range z.prob {
		z.prob[i] *= float64(n) / z.norm
		if z.prob[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		lo, hi := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.alias[lo] = hi
		z.prob[hi] -= 1 - z.prob[lo]
		if z.prob[hi] < 1 {
			large = large[:len(large)-1]
			small = append(small, hi)
		}
	}
	// What is left in either list is 1 but for rounding.
	for _, i := range append(small, large...) {
		z.prob[i], z.alias[i] = 1, i
	}
	return z, nil
}

// Next implements Chooser.
func (z *Zipf) Next(r *rand.Rand) int {
	// The integer part picks the column, the fraction decides within it: 53 bits of
	// one random number are enough for both at any n that fits in memory.
	x := r.Float64() * float64(len(z.prob))
	i := int(x)
	if x-float64(i) < z.prob[i] {
		return i
	}
	return int(z.alias[i])
}

// P is the exact probability of key i.
func (z *Zipf) P(i int) float64 { return math.Pow(float64(i+1), -z.s) / z.norm }
