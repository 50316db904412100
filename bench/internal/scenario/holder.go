package scenario

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/part"
)

const (
	holderLease   = 2 * time.Second // the shortest there is
	holderOthers  = 3               // processes that wait, with holderCallers each
	holderCallers = 50
	holderTakes   = 5 * time.Millisecond // a load of the others
)

// holder kills the process that has the right to load, in the middle of its load.
func holder() Scenario {
	return Scenario{
		Name: "holder", Title: "the process that loads a key is killed in the middle of its load; three others wait for it; a lease of 2 s",
		Figures: []Figure{{Name: fServed, Format: "%.0f"}, {Name: fOver, Format: "%.0f", Bound: most(100)}, {Name: fOthers, Format: "%.0f", Bound: exactly(2)},
			{Name: fFailed, Format: "%.0f", Bound: most(0), Safety: true}, safety[0]},
		play: (*run).holder,
	}
}

func (r *run) holder() error {
	r.put(fFailed, 0)
	r.put(fWrong, 0)
	rng := rand.New(rand.NewPCG(r.seed, 0x401d))
	for range r.Herd.Deaths {
		if err := r.death(time.Duration(rng.Int64N(int64(time.Second)))); err != nil {
			return err
		}
	}
	return nil
}

// death plays it once; the holder lives for so long.
func (r *run) death(lives time.Duration) error {
	never, asked := make(chan struct{}), make(chan time.Time, 1)
	shared := origin.SharedConfig{Takes: holderTakes, Asked: func(who int, _ string) <-chan struct{} {
		if who > 0 {
			return nil
		}
		asked <- time.Now()
		return never
	}}
	return r.gather(1+holderOthers, shared, reading{LeaseTTL: holderLease, LoadTimeout: time.Minute}, func(h *herd) error {
		holder, others := h.readers[0], h.readers[1:]
		if err := holder.Tell(order{Get: &getting{Key: "k", Callers: 1}}); err != nil {
			return err
		}
		var won time.Time
		select {
		case won = <-asked:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
		var got answer
		var err error
		var waiting sync.WaitGroup
		waiting.Go(func() {
			got, err = h.all(others, func(int) order { return order{Get: &getting{Key: "k", Callers: holderCallers}} })
		})
		dead := r.kill(holder, lives)
		waiting.Wait()
		h.readers = others
		if err != nil || dead != nil {
			return firstOf(err, dead)
		}
		r.saw(got)
		served := got.Ended.Sub(won)
		r.most(fServed, ms(served))
		r.most(fOver, ms(max(0, served-holderLease)))
		r.most(fOthers, float64(h.origin.Loads().All))
		r.add(fFailed, float64(got.Failed))
		r.add(fWrong, float64(got.Wrong))
		return nil
	})
}

// kill ends a process when it has lived for so long.
func (r *run) kill(p *part.Player, lives time.Duration) error {
	if err := r.pause(lives); err != nil {
		return firstOf(err, p.Kill())
	}
	return p.Kill()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
