package versus

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/workload"
)

// Op is one operation, called by many goroutines at once. It must return an error for
// anything but the right answer.
type Op func(ctx context.Context, pick int) error

// Local is a client in this process.
type Local struct {
	// Open makes a client for that many goroutines.
	Open func(goroutines int) (op Op, close func() error, err error)
	// Deadline gives every operation a context.WithTimeout of its own, also a client
	// that takes no context: the caller who wants one pays for it. 0 calls with a
	// context that cannot end, which costs nobody anything.
	Deadline time.Duration
	// ServerCPU, if not nil, reads the CPU time the servers have used so far.
	ServerCPU func() (time.Duration, error)
}

// Contender gives l a name.
func (l Local) Contender(name string) Contender { return Contender{Name: name, Turn: l.Turn} }

// Turn opens a client, warms it up, and lets it work.
func (l Local) Turn(ctx context.Context, s Slot) (t Turn, err error) {
	op, closeClient, err := l.Open(s.Goroutines)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, closeClient()) }()
	// The warm-up dials the connections and lets the runtime grow its stacks; then the
	// garbage of whoever had the turn before is swept at nobody's cost.
	warm := s
	warm.Length /= 6
	if _, err = l.spin(ctx, op, warm); err != nil {
		return t, err
	}
	runtime.GC()
	return l.spin(ctx, op, s)
}

// sample is how many operations come to one whose latency is measured: two clock
// reads on each would be a tax that the faster client pays more of.
const sample = 8

// spin works as fast as it goes, at least once on each goroutine, and nothing is shared between the goroutines but the
// flag that ends them; or, where the slot says so, in turns that are so far apart, of which there is one at least.
func (l Local) spin(ctx context.Context, op Op, s Slot) (Turn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var over atomic.Bool
	took, ops := make([][]time.Duration, s.Goroutines), make([]int64, s.Goroutines)
	var serverCPU time.Duration
	if l.ServerCPU != nil {
		var err error
		if serverCPU, err = l.ServerCPU(); err != nil {
			return Turn{}, err
		}
	}
	cpu, start := cputime.Self(), time.Now()
	g := s.gate(start)
	timer := time.AfterFunc(s.Length, func() { over.Store(true) })
	defer timer.Stop()
	defer context.AfterFunc(ctx, func() { over.Store(true) })()
	var wg sync.WaitGroup
	for i := range took {
		r := workload.Rand(s.Seed, i)
		wg.Go(func() {
			// Each goroutine counts on its own stack: neighbours in a slice share cache lines.
			n, mine := int64(0), make([]time.Duration, 0, 64)
			for (n == 0 || !over.Load()) && g.pass(ctx) {
				var from time.Time
				timed := n%sample == sample/2 || g != nil // who waits anyway pays nothing for the clock
				if timed {
					from = time.Now()
				}
				if err := l.call(op, r.IntN(s.Picks)); err != nil {
					cancel(err)
					return
				}
				if timed {
					mine = append(mine, time.Since(from))
				}
				n++
			}
			took[i], ops[i] = mine, n
		})
	}
	wg.Wait()
	elapsed, cpu := time.Since(start), cputime.Self()-cpu
	if err := context.Cause(ctx); err != nil {
		return Turn{}, err
	}
	total := int64(0)
	for _, n := range ops {
		total += n
	}
	t := Turn{OpsPerS: float64(total) / elapsed.Seconds(), ClientCPU: micros(cpu) / float64(total)}
	if l.ServerCPU != nil {
		now, err := l.ServerCPU()
		if err != nil {
			return Turn{}, err
		}
		t.ServerCPU = micros(now-serverCPU) / float64(total)
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	t.P50, t.P99 = quantile(all, 0.5), quantile(all, 0.99)
	t.Began, t.Latencies = start, measure.IntervalOf(elapsed, all)
	return t, nil
}

// call does one operation under a context of its own if there is a deadline.
func (l Local) call(op Op, pick int) error {
	if l.Deadline <= 0 {
		return op(context.Background(), pick)
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.Deadline)
	defer cancel()
	return op(ctx, pick)
}

// quantile is the q-th of sorted latencies, in microseconds; 0 without any.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return micros(sorted[int(q*float64(len(sorted)-1)+0.5)])
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
