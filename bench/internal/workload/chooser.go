// Package workload decides which key a request asks for and whether it reads or
// writes. Everything is drawn from seeded generators: the same seed, worker number
// and number of draws give the same requests.
package workload

import (
	"errors"
	"math/rand/v2"
)

// Chooser picks the number of a key, 0 to n-1. Implementations are immutable after
// they are made, or use atomics: one Chooser serves all workers, each with a
// generator of its own.
type Chooser interface {
	Next(r *rand.Rand) int
}

// Rand returns the generator of one worker. Worker numbers give streams that do not
// overlap in practice (PCG with distinct stream words).
func Rand(seed uint64, worker int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, mix(seed+uint64(worker)+1)))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): it turns
// consecutive numbers into unrelated ones.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

var errNoKeys = errors.New("a workload needs at least one key: give -keys a positive number")

type uniform struct{ n int }

// NewUniform asks for each of n keys equally often.
func NewUniform(n int) (Chooser, error) {
	if n < 1 {
		return nil, errNoKeys
	}
	return uniform{n}, nil
}

func (u uniform) Next(r *rand.Rand) int { return r.IntN(u.n) }
