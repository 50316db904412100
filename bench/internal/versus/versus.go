// Package versus compares clients on one server fairly: they take turns within one
// run, in an order that rotates from round to round, and what counts is the median
// of the ratios within a round. Whatever slows the machine for a while slows all of
// them, and comparing one of them with itself shows how much a ratio means.
package versus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/workload"
)

// Contender is one client under one name. Get must return an error for anything but
// the right value; it is called by many goroutines.
type Contender struct {
	Name string
	// Open makes a client for that many goroutines.
	Open func(goroutines int) (get func(ctx context.Context, key int) error, close func() error, err error)
}

// Config says how to compare. Base is what the others are divided by.
type Config struct {
	Base       Contender
	Others     []Contender
	Goroutines []int
	Rounds     int           // of each number of goroutines
	Slot       time.Duration // of one contender in one round; a sixth more is warm-up
	Keys       int
	Seed       uint64
	Watch      func(done, slots int, word string)
}

// Score is how one contender did with one number of goroutines.
type Score struct {
	Name       string  `json:"name"`
	Goroutines int     `json:"goroutines"`
	OpsPerS    float64 `json:"ops_per_s"` // median of the rounds
	Ratio      float64 `json:"ratio"`     // to Base, median of the rounds' ratios
	MinRatio   float64 `json:"min_ratio"`
	MaxRatio   float64 `json:"max_ratio"`
	P50        float64 `json:"p50_us"` // of all rounds together, one get in 16
	P99        float64 `json:"p99_us"`
}

// Run compares and returns the scores by goroutines, Base first. The first error of
// any get ends the comparison: figures with errors in them compare nothing.
func Run(ctx context.Context, cfg Config) ([]Score, error) {
	if cfg.Rounds < 1 || cfg.Slot <= 0 || cfg.Keys < 1 {
		return nil, errors.New("a comparison needs at least one round, one key and a time for each turn")
	}
	all := append([]Contender{cfg.Base}, cfg.Others...)
	slots, done := len(cfg.Goroutines)*cfg.Rounds*len(all), 0
	var scores []Score
	for _, g := range cfg.Goroutines {
		rates := make([][]float64, len(all))
		merged := make([]*measure.Merged, len(all))
		for i := range all {
			rates[i], merged[i] = make([]float64, cfg.Rounds), measure.Merge()
		}
		for round := range cfg.Rounds {
			for k := range all {
				i := (k + round) % len(all)
				if cfg.Watch != nil {
					cfg.Watch(done, slots, fmt.Sprintf("%s, %d goroutines, round %d of %d", all[i].Name, g, round+1, cfg.Rounds))
				}
				t, err := turnOf(ctx, cfg, all[i], g, cfg.Seed+uint64(round))
				if err != nil {
					return nil, fmt.Errorf("%s with %d goroutines: %w", all[i].Name, g, err)
				}
				rates[i][round] = t.rate
				merged[i].Add(t.merged)
				done++
			}
		}
		for i, c := range all {
			scores = append(scores, score(c.Name, g, rates[i], rates[0], merged[i]))
		}
	}
	return scores, nil
}

// turn is what one contender did in one turn.
type turn struct {
	rate   float64
	merged *measure.Merged
}

func turnOf(ctx context.Context, cfg Config, c Contender, goroutines int, seed uint64) (t turn, err error) {
	get, closeClient, err := c.Open(goroutines)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, closeClient()) }()
	// The warm-up dials the connections and lets the runtime grow its stacks.
	for _, length := range []time.Duration{cfg.Slot / 6, cfg.Slot} {
		if t, err = spin(ctx, get, cfg.Keys, goroutines, length, seed); err != nil {
			return t, err
		}
	}
	return t, nil
}

// sample is how many gets come to one whose latency is measured: two clock reads
// and a histogram on each would be a tax that the faster client pays more of.
const sample = 16

// spin gets as fast as it goes, at least once on each goroutine. Nothing is shared
// between the goroutines but the flag that ends them.
func spin(ctx context.Context, get func(context.Context, int) error, keys, goroutines int, length time.Duration, seed uint64) (turn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var over atomic.Bool
	recs, ops := make([]*measure.Recorder, goroutines), make([]int64, goroutines)
	for i := range recs {
		recs[i] = measure.NewRecorder()
	}
	start := time.Now()
	timer := time.AfterFunc(length, func() { over.Store(true) })
	defer timer.Stop()
	defer context.AfterFunc(ctx, func() { over.Store(true) })()
	var wg sync.WaitGroup
	for i, rec := range recs {
		rec.Begin(start)
		r := workload.Rand(seed, i)
		wg.Go(func() {
			n := int64(0)
			for n == 0 || !over.Load() {
				var from time.Time
				if n%sample == 0 {
					from = time.Now()
				}
				if err := get(ctx, r.IntN(keys)); err != nil {
					cancel(err)
					return
				}
				if n%sample == 0 {
					rec.Record(measure.Read, from, time.Now())
				}
				n++
			}
			ops[i] = n
		})
	}
	wg.Wait()
	elapsed, total := time.Since(start), int64(0)
	for _, n := range ops {
		total += n
	}
	return turn{rate: float64(total) / elapsed.Seconds(), merged: measure.Merge(recs...)}, context.Cause(ctx)
}

func score(name string, goroutines int, rates, base []float64, m *measure.Merged) Score {
	ratios := make([]float64, len(rates))
	for i := range rates {
		ratios[i] = rates[i] / base[i]
	}
	l := m.Latency()
	return Score{Name: name, Goroutines: goroutines, OpsPerS: median(rates), Ratio: median(ratios),
		MinRatio: slices.Min(ratios), MaxRatio: slices.Max(ratios), P50: l.P50, P99: l.P99}
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
