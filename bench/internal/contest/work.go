package contest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/pace"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/bench/internal/versus"
)

// Work is what the players do.
type Work int

// The kinds of work. Every value that is read is compared with the right one.
const (
	Gets  Work = iota
	Sets       // of values made beforehand
	Mixed      // nine gets to a set
	Multi      // GetMulti of MultiKeys keys
)

// MultiKeys is how many keys a GetMulti asks for.
const MultiKeys = 50

// Stock is the keys of one size with their values.
type Stock struct {
	Keys   []string
	values [][]byte
}

// NewStock makes n keys with values of size bytes. The keys of two sizes differ.
func NewStock(n, size int) *Stock {
	s := &Stock{}
	for i := range n {
		key := fmt.Sprintf("b%d:%d", size, i)
		s.Keys = append(s.Keys, key)
		// Cut short, a value still begins with its checksum: no two keys have the same.
		s.values = append(s.values, value.Make(key, 1, size)[:size])
	}
	return s
}

// id tells stocks apart.
func (s *Stock) id() string { return fmt.Sprintf("%d × %d", len(s.Keys), len(s.values[0])) }

// Fill stores everything, a few at a time and at most maxRate in a second, 0 being any number.
func (s *Stock) Fill(ctx context.Context, c Cache, maxRate float64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	least := pace.Gap(maxRate)
	p := pace.New(time.Now(), least, least)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			timer := time.NewTimer(time.Hour)
			defer timer.Stop()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(s.Keys) {
					return
				}
				if at, _ := p.Turn(time.Now()); pace.Until(ctx, timer, at) != nil {
					return
				}
				if err := c.Set(ctx, s.Keys[i], s.values[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("cannot fill the servers: %w", err)
	}
	return nil
}

// picks is the range of random numbers that work needs.
func (s *Stock) picks(w Work) int {
	if w == Mixed {
		return 10 * len(s.Keys)
	}
	return len(s.Keys)
}

// op is work by c on s, which must have been filled.
func (s *Stock) op(w Work, c Cache) versus.Op {
	switch w {
	case Sets:
		return func(ctx context.Context, pick int) error { return c.Set(ctx, s.Keys[pick], s.values[pick]) }
	case Mixed:
		return func(ctx context.Context, pick int) error {
			if pick%10 == 0 {
				return c.Set(ctx, s.Keys[pick/10], s.values[pick/10])
			}
			return s.get(ctx, c, pick/10)
		}
	case Multi:
		// Each call asks for keys that stand in a row; the doubled lists have no end.
		keys, want := slices.Repeat(s.Keys, 2), slices.Repeat(s.values, 2)
		n := min(MultiKeys, len(s.Keys))
		return func(ctx context.Context, pick int) error {
			return getMulti(ctx, c, keys[pick:pick+n], want[pick:pick+n])
		}
	}
	return func(ctx context.Context, pick int) error { return s.get(ctx, c, pick) }
}

func (s *Stock) get(ctx context.Context, c Cache, i int) error {
	b, err := c.Get(ctx, s.Keys[i])
	if err == nil && !bytes.Equal(b, s.values[i]) {
		return value.ErrWrong
	}
	return err
}

func getMulti(ctx context.Context, c Cache, keys []string, want [][]byte) error {
	found, wrong := 0, 0
	err := c.GetMulti(ctx, keys, func(i int, b []byte) {
		if found++; !bytes.Equal(b, want[i]) {
			wrong++
		}
	})
	if err == nil && (wrong > 0 || found != len(keys)) {
		return fmt.Errorf("%w: %d of %d keys were found, %d of them with another value", value.ErrWrong, found, len(keys), wrong)
	}
	return err
}
