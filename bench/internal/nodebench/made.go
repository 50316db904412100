package nodebench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/memherd/memherd/bench/internal/workload"
)

// Made traces, for those who have no recorded ones.
const (
	madeKeys     = 20_000
	madeRequests = 600_000
	// After every tenth of a drifting trace a fifth of the keys give way to new ones.
	driftSteps = 10
)

// MakeTrace draws a trace: "zipf:S", 20,000 keys by Zipf's law with exponent S, or
// "drift:S", the same while keys are replaced by new ones. limit as ReadTrace.
func MakeTrace(name string, limit int, seed uint64) (Trace, error) {
	kind, exponent, _ := strings.Cut(name, ":")
	s, err := strconv.ParseFloat(exponent, 64)
	if err != nil || kind != "zipf" && kind != "drift" {
		return nil, fmt.Errorf("%q: need zipf:S or drift:S, S an exponent like 0.99", name)
	}
	z, err := workload.NewZipf(madeKeys, s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	n := madeRequests
	if limit > 0 {
		n = min(n, limit)
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	names := make([]int, madeKeys) // which key has which place in the order
	for i := range names {
		names[i] = i
	}
	next := madeKeys
	t := make(Trace, 0, n)
	for i := range n {
		if kind == "drift" && i > 0 && i%max(n/driftSteps, 1) == 0 {
			for _, place := range rng.Perm(madeKeys)[:madeKeys/5] {
				names[place] = next
				next++
			}
		}
		t = append(t, names[z.Next(rng)])
	}
	return t, nil
}
