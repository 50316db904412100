package scenario

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/hotkey"
)

const (
	fNearHit   = "ns of CPU a hit takes over the clock's"
	fNearMiss  = "ns of CPU a miss takes"
	fNearClock = "ns of CPU one look at the clock takes"
	fNearBoth  = "ns of CPU a hit takes with what detection adds"
	fNearFound = "hits that were none, %: their entries were renewed too late"
)

// nearGoroutines read at once.
const nearGoroutines = 2

// inMemory is what the near-cache costs the reads that ask it. `make bench-near` has others beside it, which are no part of this module.
func inMemory() Scenario {
	return Scenario{Name: "near", Title: "what a near-cache hit and a miss cost, 2 goroutines, 128 keys held",
		Figures: []Figure{{Name: fNearHit, Format: "%.1f", Bound: most(20), Aim: most(12)}, {Name: fNearMiss, Format: "%.1f", Bound: most(10), Aim: most(8)},
			{Name: fNearClock, Format: "%.1f"}, {Name: fNearBoth, Format: "%.1f"}, {Name: fNearFound, Format: "%.3f", Bound: most(1)}, {Name: fCostRate, Format: "%.0f"}},
		play: (*run).inMemory}
}

func (r *run) inMemory() error {
	near, err := hotkey.NewNear(nil)
	if err != nil {
		return err
	}
	d, err := r.detector(hotkey.Config{}, hotNodes, 0)
	if err != nil {
		return err
	}
	held := hottestOf(hotNodes)
	names := keys(2 * held)
	hashes, err := hashesOf(names)
	if err != nil {
		return err
	}
	renew := func() {
		for i := range held {
			near.Put(hashes[i], names[i], hotkey.Value{Bytes: make([]byte, valueSize)}, near.Generation(hashes[i]), time.Now())
		}
	}
	renew()
	// As often as a client's sweeper looks.
	ended, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		tick := time.NewTicker(simX / 4)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				renew()
			}
		}
	}()
	defer func() { close(ended); <-joined }()

	base := time.Now()
	ops := []func(i int) bool{
		func(int) bool { return true },
		func(int) bool { return time.Since(base) >= 0 },
		func(i int) bool { _, ok := near.Get(hashes[i%held], names[i%held]); return ok },
		func(i int) bool { _, ok := near.Get(hashes[held+i%held], names[held+i%held]); return !ok },
		func(i int) bool {
			v, ok := near.Get(hashes[i%held], names[i%held])
			d.Observe(hashes[i%held], names[i%held], len(v.Bytes))
			return ok
		},
	}
	took, lost := make([][]float64, len(ops)), int64(0)
	for range r.Hot.Rounds {
		for i, op := range ops {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			ns, failed := cpuOf(r.Hot.Accesses, op)
			took[i] = append(took[i], ns)
			lost += failed
		}
	}
	idle := medianOf(took[0])
	clock := medianOf(took[1]) - idle
	r.put(fNearClock, clock)
	r.put(fNearHit, medianOf(took[2])-idle-clock)
	r.put(fNearMiss, medianOf(took[3])-idle)
	r.put(fNearBoth, medianOf(took[4])-idle)
	r.put(fNearFound, percent(lost, int64(2*r.Hot.Rounds*r.Hot.Accesses*nearGoroutines)))
	r.put(fCostRate, float64(d.Stats().SampleOneIn))
	return nil
}

// cpuOf is the processor time of one operation, in nanoseconds, and how many answered false.
func cpuOf(accesses int, op func(i int) bool) (ns float64, failed int64) {
	var wg sync.WaitGroup
	var sum atomic.Int64
	began := cputime.Self()
	for g := range nearGoroutines {
		wg.Go(func() {
			n := int64(0)
			for i := range accesses {
				if !op(i + g*37) {
					n++
				}
			}
			sum.Add(n)
		})
	}
	wg.Wait()
	return float64((cputime.Self() - began).Nanoseconds()) / float64(accesses*nearGoroutines), sum.Load()
}
