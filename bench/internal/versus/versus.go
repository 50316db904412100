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
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
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
	P50        float64 `json:"p50_us"` // of all rounds together
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
			for turn := range all {
				i := (turn + round) % len(all)
				if cfg.Watch != nil {
					cfg.Watch(done, slots, fmt.Sprintf("%s, %d goroutines, round %d of %d", all[i].Name, g, round+1, cfg.Rounds))
				}
				run, err := turnOf(ctx, cfg, all[i], g, cfg.Seed+uint64(round))
				if err != nil {
					return nil, fmt.Errorf("%s with %d goroutines: %w", all[i].Name, g, err)
				}
				rates[i][round] = float64(run.Ops()) / run.Elapsed.Seconds()
				merged[i].Add(run.Merged)
				done++
			}
		}
		for i, c := range all {
			scores = append(scores, score(c.Name, g, rates[i], rates[0], merged[i]))
		}
	}
	return scores, nil
}

func turnOf(ctx context.Context, cfg Config, c Contender, goroutines int, seed uint64) (run drive.Result, err error) {
	get, closeClient, err := c.Open(goroutines)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, closeClient()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	do := func(ctx context.Context, w *drive.Worker, _ int64) measure.Kind {
		if err := get(ctx, w.Rand.IntN(cfg.Keys)); err != nil {
			cancel(err)
		}
		return measure.Read
	}
	// The warm-up dials the connections and lets the runtime grow its stacks.
	for _, length := range []time.Duration{cfg.Slot / 6, cfg.Slot} {
		run, err = drive.Run(ctx, drive.Config{Workers: goroutines, Duration: length, Seed: seed}, do)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return run, err
		}
	}
	return run, nil
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
