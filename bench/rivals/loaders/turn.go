package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/bench/internal/value"
)

// figures are what a turn of one player came to.
type figures struct {
	Loads   float64 `json:"origin_loads"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	OpsPerS float64 `json:"ops_per_s"`
	// CPU time of this process, which is the origin, too, and of the servers.
	CPU float64 `json:"cpu_us_per_op"`
}

// source is the origin of one turn: it knows every key, takes its time, and counts.
type source struct {
	takes time.Duration
	size  int
	loads atomic.Int64
}

func (s *source) load(ctx context.Context, key string) ([]byte, error) {
	s.loads.Add(1)
	t := time.NewTimer(s.takes)
	defer t.Stop()
	select {
	case <-t.C:
		return value.Make(key, 1, s.size), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// turn has one player replay the trace, from nothing in any cache on. The keys begin with
// prefix, which nobody has used before. busy is how much CPU time the servers have used.
func turn(ctx context.Context, o options, p player, servers []string, busy func() (time.Duration, error), t *trace.Trace, prefix string) (f figures, err error) {
	s := &source{takes: o.takes, size: o.size}
	var caches []cache
	defer func() {
		for _, c := range caches {
			err = errors.Join(err, c.Close())
		}
	}()
	for range o.processes {
		c, err := p.open(servers, o.workers, s.load)
		if err != nil {
			return f, err
		}
		caches = append(caches, c)
		// It connects to every server before the clock starts.
		for i := range 20 {
			if _, err := c.Get(ctx, fmt.Sprint(prefix, "warm", i)); err != nil {
				return f, err
			}
		}
	}
	s.loads.Store(0)
	keys := make([]string, len(t.Keys))
	for i, k := range t.Keys {
		keys[i] = prefix + k
	}
	var bad firstError
	theirs, err := busy()
	if err != nil {
		return f, err
	}
	mine := cputime.Self()
	res, err := drive.Run(ctx, drive.Config{Workers: o.processes * o.workers, Ops: int64(len(t.Reqs))},
		func(ctx context.Context, w *drive.Worker, n int64) measure.Kind {
			key := keys[t.Reqs[n].Key]
			b, err := caches[w.ID%len(caches)].Get(ctx, key)
			if err == nil {
				_, err = value.Check(key, b)
			}
			bad.note(err)
			return measure.Read
		})
	switch {
	case err != nil:
		return f, err
	case ctx.Err() != nil:
		return f, ctx.Err()
	case bad.err != nil:
		return f, fmt.Errorf("a wrong answer: %w", bad.err)
	}
	used := cputime.Self() - mine
	now, err := busy()
	if err != nil {
		return f, err
	}
	used += now - theirs
	l := res.Latency()
	return figures{CPU: float64(used.Nanoseconds()) / 1e3 / float64(res.Ops()),
		Loads: float64(s.loads.Load()), P50: l.P50, P99: l.P99, OpsPerS: float64(res.Ops()) / res.Elapsed.Seconds()}, nil
}

// firstError keeps the first of many workers' errors.
type firstError struct {
	mu  sync.Mutex // guards err, which is read when nobody notes any more
	err error
}

func (f *firstError) note(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}
