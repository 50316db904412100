package workload

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// Flash is a flash crowd on top of another workload: from one moment on a few keys, which nobody asked for more than
// others before, take a share of all requests, as when an event is on the news; later they are forgotten again.
type Flash struct {
	base     Chooser
	n, first int
	keys     int
	share    float64
	from, to time.Time
}

// NewFlash makes the workload: of the n keys of base, some get share (0 to 1) of the requests from after on, counted
// from now, for lasts. Which keys follows from the seed.
func NewFlash(base Chooser, n, keys int, share float64, after, lasts time.Duration, seed uint64) (*Flash, error) {
	switch {
	case n < 1:
		return nil, errNoKeys
	case keys < 1 || keys > n:
		return nil, errors.New("a flash crowd needs between 1 key and all of them")
	case math.IsNaN(share) || share < 0 || share > 1:
		return nil, errors.New("the share of a flash crowd must lie between 0 and 1")
	case after < 0 || lasts <= 0:
		return nil, errors.New("a flash crowd must begin at 0 or later, and last")
	}
	now := time.Now()
	return &Flash{base: base, n: n, first: int(mix(seed) % uint64(n)), keys: keys, share: share, from: now.Add(after), to: now.Add(after + lasts)}, nil
}

// Next implements Chooser.
func (f *Flash) Next(r *rand.Rand) int {
	if now := time.Now(); now.Before(f.from) || !now.Before(f.to) || r.Float64() >= f.share {
		return f.base.Next(r)
	}
	return (f.first + r.IntN(f.keys)) % f.n
}
