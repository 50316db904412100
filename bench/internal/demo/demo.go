// Package demo is the show a newcomer sees first, and a test of everything at once:
// a fleet in this process with a real database behind it goes through a hot-key
// storm and the loss and return of a node, while every value is checked.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/workload"
	"github.com/memherd/memherd/loader"
)

// Config says how big a show. The zero value is the full one, seed 0.
type Config struct {
	Duration time.Duration // of all phases together; 0 is 32 s
	Rows     int           // in the database; 0 is 100,000
	Workers  int           // operations under way at a time; 0 is 32
	Seed     uint64
	Write    loader.WritePolicy
	// Serve, if not nil, is given the live page before the load begins.
	Serve func(http.Handler)
}

// The fixed parts of the show.
const (
	nodes    = 5
	replicas = 2
	prefix   = "demo:" // of keys in the cache
	zipf     = 0.99
	writes   = 0.05
	storm    = 0.2 // share of the one key in the storm
	minSize  = 100 // bytes of a row
	maxSize  = 300
)

func (c Config) withDefaults() Config {
	if c.Duration == 0 {
		c.Duration = 32 * time.Second
	}
	if c.Rows == 0 {
		c.Rows = 100_000
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	return c
}

// Key names row i.
func Key(i int) string { return fmt.Sprintf("row:%d", i) }

// weights is the sum of the phases' weights.
const weights = 32

// phase is one part of the show.
type phase struct {
	name, what string
	weight     int // share of the duration
	// begin runs shortly after the phase's load has begun, so that what it does
	// happens under load; event is what reports call it.
	event string
	begin func() error
}

// show is one run of the demo.
type show struct {
	cfg    Config
	fleet  *fleet.Embedded
	s      *subject.Subject
	storm  *workload.Storm
	rising *rising
	bar    *progress.Bar
	stderr io.Writer
	victim int

	total  report.Result
	merged *measure.Merged
	done   time.Duration // of the phases that have ended
	steady float64       // median operations per slice
}

// Run puts on the show. It returns what was measured until ctx ended; the error is
// about the show itself, not about what callers saw.
func Run(ctx context.Context, cfg Config, stderr io.Writer) (res report.Result, err error) {
	cfg = cfg.withDefaults()
	// A key of the cold half: nobody has it in memory when the storm breaks.
	struck := cfg.Rows/2 + int(cfg.Seed%uint64(cfg.Rows/4+1))
	d := &show{cfg: cfg, stderr: stderr, rising: &rising{key: Key(struck)}, bar: progress.New(stderr, int64(cfg.Duration))}
	defer d.bar.Close()
	d.bar.Step(fmt.Sprintf("generating %s rows", report.Count(int64(cfg.Rows))))
	db, err := origin.NewSQLite(ctx, cfg.Rows, Key, minSize, maxSize, cfg.Seed, nil)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if d.fleet, err = fleet.Start(nodes, 0); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, d.fleet.Close()) }()
	if d.s, err = d.subject(db); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, d.s.Close()) }()
	if cfg.Serve != nil {
		cfg.Serve(d.s.Live)
	}
	base, err := workload.NewZipf(cfg.Rows, zipf)
	if err != nil {
		return res, err
	}
	d.storm = workload.NewStorm(base, struck)
	err = d.phases(ctx)
	return d.total, err
}

func (d *show) subject(db *origin.SQLite) (*subject.Subject, error) {
	keys, sizes := make([]string, d.cfg.Rows), make([]int, d.cfg.Rows)
	r := rand.New(rand.NewPCG(d.cfg.Seed, 0x512e))
	for i := range keys {
		keys[i], sizes[i] = Key(i), minSize+r.IntN(maxSize-minSize+1)
	}
	return subject.New(subject.Config{
		Nodes: d.fleet.Nodes(), Replicas: replicas, Keys: keys, Size: func(i int) int { return sizes[i] },
		Origin: db, Prefix: prefix, TTL: time.Hour, Write: d.cfg.Write, OnPromote: d.rising.promoted, Live: d.cfg.Serve != nil,
	})
}

func (d *show) phases(ctx context.Context) error {
	first := d.s.Snapshot()
	began := time.Now()
	var err error
	for i, p := range []phase{
		{"warm-up", "warming up: an empty cache, each key comes from the database once", 6, "", nil},
		{"steady", "steady: Zipf reads, 5 % writes", 6, "", nil},
		{"storm", "hot-key storm: one cold key takes 20 % of all requests", 6, "storm begins", d.breakOut},
		{"node killed", "a node is killed", 7, "busiest node killed", func() error { return d.fleet.Kill(d.victim) }},
		{"node back", "the node is back, empty", 7, "it returns, empty", func() error { return d.fleet.Restart(d.victim) }},
	} {
		if ctx.Err() != nil {
			break
		}
		if err = d.phase(ctx, i, p); err != nil {
			break
		}
	}
	if d.merged == nil {
		return err
	}
	phases, recovery, struck := d.total.Phases, d.total.Recovery, d.total.Storm
	d.total = d.s.Result("all", d.cfg.Seed, first, drive.Result{Merged: d.merged, Elapsed: time.Since(began)})
	d.total.Phases, d.total.Recovery, d.total.Storm = phases, recovery, struck
	if ctx.Err() != nil {
		d.total.Notes = append(d.total.Notes, "stopped before its end: these are the figures until then")
	}
	return err
}

// lead is how long the load of a phase runs before its event happens, as a share of
// the phase.
const lead = 7

func (d *show) phase(ctx context.Context, i int, p phase) error {
	d.storm.Set(0)
	length := d.cfg.Duration * time.Duration(p.weight) / weights
	d.bar.Step(p.what)
	before := d.s.Snapshot()

	// The event runs on a goroutine of its own, which is joined below.
	type outcome struct {
		at  time.Time
		err error
	}
	happened := make(chan outcome, 1)
	runCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.begin != nil {
		go func() {
			wait := time.NewTimer(length / lead)
			defer wait.Stop()
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
			at := time.Now()
			err := p.begin()
			if err != nil {
				cancel() // without its event the phase is not worth its time
			}
			happened <- outcome{at, err}
		}()
	}
	run, err := drive.Run(runCtx, drive.Config{
		Workers: d.cfg.Workers, Duration: length, Seed: d.cfg.Seed + uint64(i+1)<<32,
		Watch: func(ops int64, elapsed time.Duration) {
			d.bar.Set(int64(d.done+elapsed), report.Count(int64(float64(ops)/elapsed.Seconds()))+" op/s")
		},
	}, d.operation)
	var event outcome
	if p.begin != nil {
		event = <-happened
	}
	if err = errors.Join(err, event.err); err != nil {
		return err
	}
	d.done += length
	res := d.s.Result(p.name, d.cfg.Seed, before, run)
	if p.begin != nil {
		res.EventS, res.Event = event.at.Sub(run.Start).Seconds(), p.event
	}
	if d.merged == nil {
		d.merged = measure.Merge()
	}
	d.merged.Add(run.Merged)
	switch p.name {
	case "steady":
		d.steady = measure.Median(whole(run.Slices))
		d.victim = d.busiest(res.NodeOps)
	case "storm":
		d.total.Storm = d.rising.told(before, run.Start, d.s.Snapshot(), time.Now())
	case "node killed":
		d.recovery(run, event.at)
	}
	d.total.Phases = append(d.total.Phases, res)
	return nil
}

// operation is one request of the demo's application.
func (d *show) operation(ctx context.Context, w *drive.Worker, _ int64) measure.Kind {
	key := d.storm.Next(w.Rand)
	if w.Rand.Float64() < writes {
		d.s.Write(ctx, key)
		return measure.Write
	}
	d.s.Read(ctx, key)
	return measure.Read
}

// busiest picks the node whose loss hurts most.
func (d *show) busiest(ops map[string]int64) int {
	best := 0
	for i, n := range d.fleet.Nodes() {
		if ops[n.Name] > ops[d.fleet.Nodes()[best].Name] {
			best = i
		}
	}
	return best
}

// whole leaves out the last slice, which the end of a run has cut short.
func whole(s []uint32) []uint32 { return s[:max(0, len(s)-2)] }

// recovery holds the throughput after the kill against what it was just before it:
// the same load on caches as full and on a machine as busy. Only if the phase was too
// short for that it is held against the steady phase's.
func (d *show) recovery(run drive.Result, killed time.Time) {
	slices := whole(run.Slices)
	at := min(len(slices), max(0, int(killed.Sub(run.Start)/measure.Slice)))
	steady := d.steady
	if at > 3 {
		steady = measure.Median(slices[1:at])
	}
	rec := measure.Recover(slices[at:], steady, 0.9)
	d.total.Recovery = &report.Recovery{
		SteadyOpsPerS: steady * float64(time.Second/measure.Slice),
		LowestShare:   rec.Dip, MS: float64(rec.After / time.Millisecond), Recovered: rec.Recovered,
	}
}
