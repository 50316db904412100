package origin

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/value"
)

// Synthetic is an origin that has no memory of values: it makes the value of a key
// and version when asked. It holds the keys it was given and no others, and may be
// used by many goroutines.
type Synthetic struct {
	index         map[string]int // read-only after New
	size          []int
	version       []atomic.Uint64
	delay         time.Duration
	loads, stores atomic.Int64
}

// NewSynthetic holds keys, each with its value's size, at version 1. delay is how
// long a load or store takes, 0 for no time at all.
func NewSynthetic(keys []string, size []int, delay time.Duration) *Synthetic {
	s := &Synthetic{index: make(map[string]int, len(keys)), size: size, version: make([]atomic.Uint64, len(keys)), delay: delay}
	for i, k := range keys {
		s.index[k] = i
		s.version[i].Store(1)
	}
	return s
}

// Load returns the value of key. ErrNoRow if it is none of the origin's.
func (s *Synthetic) Load(ctx context.Context, key string) ([]byte, error) {
	s.loads.Add(1)
	i, ok := s.index[key]
	if !ok {
		return nil, ErrNoRow
	}
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return value.Make(key, s.version[i].Load(), s.size[i]), nil
}

// Store takes over the version of body, if it is newer.
func (s *Synthetic) Store(ctx context.Context, key string, body []byte) error {
	s.stores.Add(1)
	i, ok := s.index[key]
	if !ok {
		return ErrNoRow
	}
	v, err := value.Check(key, body)
	if err != nil {
		return err
	}
	if err := s.wait(ctx); err != nil {
		return err
	}
	for old := s.version[i].Load(); old < v; old = s.version[i].Load() {
		if s.version[i].CompareAndSwap(old, v) {
			break
		}
	}
	return nil
}

func (s *Synthetic) wait(ctx context.Context) error {
	if s.delay <= 0 {
		return nil
	}
	t := time.NewTimer(s.delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Loads is how many values were asked for.
func (s *Synthetic) Loads() int64 { return s.loads.Load() }

// Stores is how many writes the origin was asked for.
func (s *Synthetic) Stores() int64 { return s.stores.Load() }
