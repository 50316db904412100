package proxy

import (
	"context"
	"math/rand/v2"
	"time"
)

// Step is a plan that holds from a point in time on.
type Step struct {
	At   time.Duration // since the beginning
	Plan Plan
}

// Flapping is a node that goes and comes for total, each time for least to most, in one
// of the ways given. It is well in the end, and the same for the same seed.
func Flapping(seed uint64, total, least, most time.Duration, ways ...Plan) []Step {
	rng := rand.New(rand.NewPCG(seed, uint64(len(ways))))
	var out []Step
	for at, away := time.Duration(0), true; at < total; away = !away {
		plan := Healthy
		if away {
			plan = ways[rng.IntN(len(ways))]
		}
		out = append(out, Step{at, plan})
		at += least + time.Duration(rng.Int64N(int64(most-least)+1))
	}
	return append(out, Step{total, Healthy})
}

// Play goes through the steps, which are in the order of time, and returns after the
// last, or when ctx ends.
func (p *Proxy) Play(ctx context.Context, steps []Step) error {
	start := time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	for _, s := range steps {
		t.Reset(s.At - time.Since(start))
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.Set(s.Plan); err != nil {
			return err
		}
	}
	return nil
}
