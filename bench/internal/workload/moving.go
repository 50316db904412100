package workload

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Moving sends a share of the requests to a small window of keys that jumps
// somewhere else every so often; the rest is uniform. It shows how fast a cache
// notices what is hot now.
type Moving struct {
	n, window int
	share     float64
	every     time.Duration
	seed      uint64
	start     time.Time
}

// NewMoving makes the workload: window keys get share (0 to 1) of the requests, and
// the window moves each time every has passed since now.
func NewMoving(n, window int, share float64, every time.Duration, seed uint64) (*Moving, error) {
	switch {
	case n < 1:
		return nil, errNoKeys
	case window < 1 || window > n:
		return nil, errors.New("the hot window must hold between 1 key and all of them")
	case math.IsNaN(share) || share < 0 || share > 1:
		return nil, errors.New("the share of the hot window must lie between 0 and 1")
	case every <= 0:
		return nil, errors.New("the time after which the hot window moves must be positive")
	}
	return &Moving{n, window, share, every, seed, time.Now()}, nil
}

// Window returns the first key of the window in the given period, counted from 0.
func (m *Moving) Window(period uint64) int {
	return int(mix(m.seed^mix(period)) % uint64(m.n))
}

// Next implements Chooser.
func (m *Moving) Next(r *rand.Rand) int {
	if r.Float64() >= m.share {
		return r.IntN(m.n)
	}
	first := m.Window(uint64(time.Since(m.start) / m.every))
	return (first + r.IntN(m.window)) % m.n
}

// Storm sends a share of the requests to one key on top of another workload. The
// share can be changed while workers draw.
type Storm struct {
	base  Chooser
	key   int
	share atomic.Uint64 // math.Float64bits
}

// NewStorm starts without a storm: everything goes to base.
func NewStorm(base Chooser, key int) *Storm { return &Storm{base: base, key: key} }

// Set makes share (0 to 1) of the requests go to the storm's key from now on.
func (s *Storm) Set(share float64) { s.share.Store(math.Float64bits(share)) }

// Next implements Chooser.
func (s *Storm) Next(r *rand.Rand) int {
	if share := math.Float64frombits(s.share.Load()); share > 0 && r.Float64() < share {
		return s.key
	}
	return s.base.Next(r)
}
