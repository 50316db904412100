package scenario

import (
	"math"
	"slices"

	"github.com/memherd/memherd/ring"
)

// What simulated clients can come to at best: clients that know how often every key is read, share the reads of each hot key
// among its copies by any fractions they like, and know from which rate on memory is worth its requests to the owner. What they
// can't move is what the rules fix: cold keys are read from their owner, near entries filled and validated there.

// The reads of all keys are shared out anew so often at most, and until no more than this share of the clients' reads is moved.
const (
	idealShares = 200
	idealMoved  = 1e-5
)

// flexible is the reads of a key that may go to any of its copies, a second and client.
type flexible struct {
	copies []uint16
	share  []float64 // by copy
}

// bestBalance is the least max ÷ mean over the rates from which memory may be used, of clients that make so many reads a second.
func bestBalance(rg *ring.Ring, s *stream, nodes int, rate float64) float64 {
	best := math.Inf(1)
	hot, hottest := int(math.Max(1024, math.Ceil(8*float64(nodes)*math.Log(float64(nodes))))), hottestOf(nodes)
	cold := make([]float64, nodes)
	for k := hot; k < len(s.hashes); k++ {
		cold[rg.LookupHash(s.hashes[k])[0]] += s.law.P(k) * rate
	}
	for worth := 0.5; worth <= 32; worth *= math.Sqrt2 {
		load := slices.Clone(cold)
		var moved []flexible
		for k := range min(hot, len(s.hashes)) {
			read, copies := s.law.P(k)*rate, rg.LookupHash(s.hashes[k])
			if inX := read * simX.Seconds(); k < hottest && inX >= worth {
				load[copies[0]] += nearRate(read)
				continue
			}
			f := flexible{copies: copies, share: make([]float64, len(copies))}
			f.share[0] = read
			load[copies[0]] += read
			moved = append(moved, f)
		}
		for range idealShares {
			sum := 0.0
			for i := range moved {
				sum += moved[i].even(load)
			}
			if sum <= idealMoved*rate {
				break
			}
		}
		best = min(best, uneven(load))
	}
	return best
}

// nearRate is how often the owner of a key is asked by a client that holds the key near and reads it so often a second: once for
// each entry, which answers until its X is over, or, while entries answer enough to be renewed, once for each renewal: due
// when half of X is over since one was sent, and found so by looks four times an X, so at the third.
func nearRate(rate float64) float64 {
	x := simX.Seconds()
	if inLife := rate * x * 3 / 4; inLife >= simReads {
		return 1 / (x * 3 / 4)
	}
	return rate / (1 + rate*x)
}

// even moves reads between each two copies so that these two are loaded alike, or as nearly so as there are reads to move. It
// returns how many it has moved.
func (f *flexible) even(load []float64) (moved float64) {
	for a := range f.copies {
		for b := range a {
			na, nb := f.copies[a], f.copies[b]
			move := max(-f.share[a], min(f.share[b], (load[nb]-load[na])/2))
			f.share[a] += move
			f.share[b] -= move
			load[na] += move
			load[nb] -= move
			moved += math.Abs(move)
		}
	}
	return moved
}

// evenness is max ÷ mean of how many keys the nodes own.
func evenness(rg *ring.Ring, s *stream) float64 {
	own := make([]float64, rg.Len())
	for _, h := range s.hashes {
		own[rg.LookupHash(h)[0]]++
	}
	return uneven(own)
}
