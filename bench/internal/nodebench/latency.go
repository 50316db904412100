package nodebench

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// Latency is what a server's clients saw at a load it was not asked to bear more than.
type Latency struct {
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	// OpsPerS is what was reached of the rate.
	OpsPerS float64 `json:"ops_per_s"`
}

// AtRate loads the server with row, rate operations a second in all, sent when their time
// has come whether or not the one before was late. A latency counts from then if the
// connection was still waiting for a reply, and from when the clock woke it up if not: how
// late this process's timers are is not the server's.
func (s Server) AtRate(ctx context.Context, row Row, rate float64, length time.Duration, seed uint64) (l Latency, err error) {
	if err := ctx.Err(); err != nil {
		return l, err
	}
	if rate <= 0 || length <= 0 {
		return l, errors.New("a load needs a rate and a length")
	}
	var workers []*worker
	defer func() {
		for _, w := range workers {
			w.nc.Close()
		}
	}()
	for i := range row.Conns {
		w, err := s.worker(row, seed<<16+uint64(i))
		if err != nil {
			return l, err
		}
		workers = append(workers, w)
	}
	gap := time.Duration(float64(row.Conns) * float64(workers[0].todo[0].ops) / rate * float64(time.Second))
	begin := time.Now().Add(10 * time.Millisecond)
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		first := begin.Add(gap * time.Duration(i) / time.Duration(len(workers)))
		wg.Go(func() { errs[i] = w.keep(first, gap, begin.Add(length)) })
	}
	wg.Wait()
	took := time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		return l, err
	}
	var all []time.Duration
	ops := 0
	for _, w := range workers {
		all = append(all, w.took...)
		ops += w.ops
	}
	if len(all) == 0 {
		return l, errors.New("the load is too short for one operation")
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[min(int(share*float64(len(all))), len(all)-1)]) / float64(time.Microsecond)
	}
	return Latency{P50: at(0.5), P99: at(0.99), P999: at(0.999), OpsPerS: float64(ops) / took.Seconds()}, nil
}

// keep sends a batch every gap from first to end.
func (w *worker) keep(first time.Time, gap time.Duration, end time.Time) error {
	due := first
	for i := 0; due.Before(end); i++ {
		from := due
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			from = time.Now()
		}
		p := &w.todo[i%batches]
		if _, err := w.nc.Write(p.req); err != nil {
			return err
		}
		if _, err := io.ReadFull(w.nc, w.reply[:p.len]); err != nil {
			return err
		}
		w.took = append(w.took, time.Since(from))
		w.ops += p.ops
		due = due.Add(gap)
	}
	return nil
}
