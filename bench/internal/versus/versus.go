// Package versus compares clients on one server fairly: they take turns within one
// run, in an order that rotates from round to round, and what counts is the median
// of the ratios within a round. Whatever slows the machine for a while slows all of
// them, and comparing one of them with itself shows how much a ratio means.
package versus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/measure"
)

// Contender is one client, or one build of a client, under one name.
type Contender struct {
	Name string
	// Turn lets it work for one turn: see Local for clients in this process. It must
	// return an error for anything but the right answers.
	Turn func(ctx context.Context, s Slot) (Turn, error)
}

// Slot says what a contender is to do in one turn.
type Slot struct {
	Goroutines int           `json:"goroutines"`
	Length     time.Duration `json:"length"` // a sixth more is warm-up
	Picks      int           `json:"picks"`  // operations are told a number from 0 below it
	Seed       uint64        `json:"seed"`
	// Every is the least time between the beginnings of two operations, over all goroutines; 0 is as fast as it goes.
	// Local keeps to it.
	Every time.Duration `json:"every,omitempty"`
}

// Turn is what one contender did in one turn.
type Turn struct {
	OpsPerS float64 `json:"ops_per_s"`
	P50     float64 `json:"p50_us"` // 0 if no latency was taken
	P99     float64 `json:"p99_us"`
	// ClientCPU and ServerCPU are CPU microseconds an operation, user and system
	// together; 0 if the system does not say.
	ClientCPU float64 `json:"client_cpu_us"`
	ServerCPU float64 `json:"server_cpu_us"`

	Began     time.Time        `json:"-"`
	Latencies measure.Interval `json:"-"` // of those operations whose latency was taken
}

// Config says how to compare. Base is what the others are divided by.
type Config struct {
	Base   Contender
	Others []Contender
	Slot   Slot
	Rounds int
	// Watch, if not nil, is told before each turn whose it is.
	Watch func(name string, round int)
	// Took, if not nil, is told of each turn what came of it.
	Took func(name string, t Turn)
}

// Run compares and returns the scores, Base's first. The first error ends the
// comparison: figures with errors in them compare nothing. If it is the end of ctx,
// the scores of the rounds that were played in full come with it.
func Run(ctx context.Context, cfg Config) ([]Score, error) {
	if cfg.Rounds < 1 || cfg.Slot.Length <= 0 || cfg.Slot.Picks < 1 || cfg.Slot.Goroutines < 1 {
		return nil, errors.New("a comparison needs at least one round, one goroutine, one key and a time for each turn")
	}
	all := append([]Contender{cfg.Base}, cfg.Others...)
	turns := make([][]Turn, len(all))
	for i := range turns {
		turns[i] = make([]Turn, cfg.Rounds)
	}
	for round := range cfg.Rounds {
		for k := range all {
			i := (k + round) % len(all)
			if cfg.Watch != nil {
				cfg.Watch(all[i].Name, round)
			}
			// Every contender of a round gets the same requests.
			slot := cfg.Slot
			slot.Seed += uint64(round)
			t, err := all[i].Turn(ctx, slot)
			if err != nil {
				err = fmt.Errorf("%s with %d goroutines: %w", all[i].Name, slot.Goroutines, err)
				if ctx.Err() != nil && round > 0 {
					return scores(all, turns, round, slot.Goroutines), err
				}
				return nil, err
			}
			turns[i][round] = t
			if cfg.Took != nil {
				cfg.Took(all[i].Name, t)
			}
		}
	}
	return scores(all, turns, cfg.Rounds, cfg.Slot.Goroutines), nil
}

// scores sums up the first rounds.
func scores(all []Contender, turns [][]Turn, rounds, goroutines int) []Score {
	out := make([]Score, len(all))
	for i, c := range all {
		out[i] = score(c.Name, goroutines, turns[i][:rounds], turns[0][:rounds])
	}
	return out
}
