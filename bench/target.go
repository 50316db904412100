package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// target says what to put under load; run and replay share it.
type target struct {
	Embedded    int           `help:"Start this many nodes in this process (default 3 without -servers)." placeholder:"N"`
	Servers     []string      `help:"Use these servers instead, host:port,…" placeholder:"ADDR"`
	AllowRemote bool          `aliases:"i-own-these-servers" help:"Allow servers that are not on this machine; needs -rate."`
	Replicas    int           `short:"r" help:"Copies of each key (default 2, or 1 on one node)." placeholder:"R"`
	Concurrency int           `short:"c" default:"64" help:"Operations under way at a time."`
	Rate        float64       `help:"Operations per second, latency counted from when each was due (default: as fast as it goes)." placeholder:"N"`
	TTL         time.Duration `default:"1h" help:"How long values stay cached."`
	Write       string        `default:"through" enum:"through,around" help:"Write policy: through or around."`
	Near        bool          `default:"true" negatable:"" help:"Serve the hottest keys from a near-cache."`
	OriginDelay time.Duration `help:"How long the synthetic origin takes for a load or a write."`
	ValueSize   int           `default:"100" help:"Bytes of a value where nothing else says it."`
	Prefix      string        `help:"Put in front of every key in the cache (default: a new one each run, so that what an earlier run left behind is no hit)." placeholder:"TEXT"`
	Seed        uint64        `default:"1" help:"Seed of everything random."`
	HTML        string        `name:"html" help:"Also write a page with plots to this file." placeholder:"OUT"`
	JSON        string        `name:"json" help:"Also write the results as JSON to this file (- is stdout; the table then goes to stderr)." placeholder:"OUT"`
}

// check finds what is wrong with the flags themselves.
func (t *target) check() error {
	switch {
	case t.Embedded < 0 || t.Embedded > maxNodes:
		return usagef("-embedded %d: give a number of nodes from 1 to %d", t.Embedded, maxNodes)
	case t.Embedded > 0 && len(t.Servers) > 0:
		return usagef("-embedded and -servers exclude each other: give one of them")
	case t.Replicas < 0:
		return usagef("-replicas %d: give a number of copies from 1", t.Replicas)
	case t.Concurrency < 1 || t.Concurrency > maxWorkers:
		return usagef("-concurrency %d: give a number from 1 to %d", t.Concurrency, maxWorkers)
	case t.Rate < 0 || math.IsNaN(t.Rate) || math.IsInf(t.Rate, 0):
		return usagef("-rate must be a positive number of operations per second")
	case t.AllowRemote && t.Rate == 0:
		return usagef("-allow-remote needs -rate: say how many operations per second those servers can take")
	case t.TTL < 0 || t.OriginDelay < 0:
		return usagef("-ttl and -origin-delay must not be negative")
	case t.ValueSize < 0 || t.ValueSize > 1<<20-1<<11:
		return usagef("-value-size %d: give 0 to %d bytes", t.ValueSize, 1<<20-1<<11)
	}
	if err := report.CheckPath("-html", t.HTML); err != nil {
		return usageError{err}
	}
	if err := report.CheckJSONPath(t.JSON); err != nil {
		return usageError{err}
	}
	if t.Prefix == "" {
		t.Prefix = "bench:" + strconv.FormatInt(time.Now().UnixNano(), 36) + ":"
	} else if item.CheckKey(t.Prefix) != nil || len(t.Prefix) > maxPrefix {
		return usagef("-prefix: give 1 to %d bytes without spaces and control characters", maxPrefix)
	}
	return nil
}

const (
	maxPrefix  = 190    // bytes; leaves room for the keys behind it
	maxNodes   = 1000   // in this process; each takes a port and connections
	maxWorkers = 10_000 // each takes 200 KB for its latencies
)

// nodes starts or finds the fleet. The returned function ends what was started.
func (t *target) nodes(e *env) ([]ring.Node, func() error, error) {
	if t.Servers != nil {
		nodes, err := fleet.External(e.ctx, t.Servers, t.AllowRemote)
		if err != nil {
			return nil, nil, usageError{err}
		}
		if err := t.copies(len(nodes)); err != nil {
			return nil, nil, err
		}
		return nodes, func() error { return nil }, nil
	}
	if t.Embedded == 0 {
		t.Embedded = 3
	}
	if err := t.copies(t.Embedded); err != nil {
		return nil, nil, err
	}
	f, err := fleet.Start(t.Embedded, 0)
	if err != nil {
		return nil, nil, err
	}
	return f.Nodes(), f.Close, nil
}

func (t *target) copies(nodes int) error {
	if t.Replicas == 0 {
		t.Replicas = min(2, nodes)
	}
	if t.Replicas > nodes {
		return usagef("-replicas %d is more than the %d nodes: give at most %d, or more nodes", t.Replicas, nodes, nodes)
	}
	return nil
}

func (t *target) policy() loader.WritePolicy {
	if t.Write == "around" {
		return loader.WriteAround
	}
	return loader.WriteThrough
}

// measure runs a subject under the given operations, shows the progress and writes
// the report. total is what the progress is measured by: operations, or 0 for time.
func (t *target) measure(e *env, name string, s *subject.Subject, cfg drive.Config, do drive.Do, notes ...string) error {
	unit := cfg.Ops
	if cfg.Duration > 0 {
		unit = int64(cfg.Duration)
	}
	bar := progress.New(e.stderr, unit)
	bar.Step(name)
	cfg.Workers, cfg.Rate, cfg.Seed = t.Concurrency, t.Rate, t.Seed
	cfg.Watch = func(ops int64, elapsed time.Duration) {
		done := ops
		if cfg.Duration > 0 {
			done = int64(elapsed)
		}
		bar.Set(done, fmt.Sprintf("%s op/s", report.Count(int64(float64(ops)/elapsed.Seconds()))))
	}
	before := s.Snapshot()
	usage := cputime.Self()
	run, err := drive.Run(e.ctx, cfg, do)
	bar.Close()
	if err != nil {
		return usageError{err}
	}
	res := s.Result(name, t.Seed, before, run)
	res.Notes = append(res.Notes, notes...)
	res.Notes = append(res.Notes, generator(t.Rate, run, cputime.Self()-usage)...)
	if t.Rate > 0 {
		lag := run.Lag()
		res.Lag = &lag
	}
	if e.ctx.Err() != nil {
		res.Notes = append(res.Notes, "stopped before its end: these are the figures until then")
	}
	for i, k := range res.HotKeys {
		// What bypassed the loader still has the prefix, which is another one each run.
		res.HotKeys[i].Key = strings.TrimPrefix(k.Key, t.Prefix)
	}
	out := e.people(t.JSON)
	report.Table(out, res)
	report.HotKeys(out, "hottest keys", res.HotKeys, 5)
	if t.HTML != "" {
		if err := report.WriteHTML(t.HTML, "memherd: "+name, res, time.Now()); err != nil {
			return err
		}
	}
	if t.JSON != "" {
		if err := report.WriteJSON(t.JSON, e.stdout, res); err != nil {
			return err
		}
	}
	if !res.Ok() || e.ctx.Err() != nil {
		return errFailed
	}
	return nil
}

// lagLimit is how late the generator may be on its own account before its figures
// say more about it than about the servers.
const lagLimit = 5 * time.Millisecond

// generator says what the generator knows about itself.
func generator(rate float64, run drive.Result, cpu time.Duration) []string {
	if run.Elapsed <= 0 {
		return nil
	}
	notes := []string{fmt.Sprintf("this process used %.1f of %d CPUs", cpu.Seconds()/run.Elapsed.Seconds(), runtime.GOMAXPROCS(0))}
	if lag := time.Duration(run.Lag().P99 * 1e3); rate > 0 && lag > lagLimit {
		notes = append(notes, fmt.Sprintf("the generator was the bottleneck: it began 1 %% of its operations over %v late; lower -rate", lag.Round(time.Microsecond)))
	}
	return notes
}

// closing joins the error of what closes at the end to the one a command ends with.
func closing(err *error, f func() error) {
	if closeErr := f(); closeErr != nil {
		*err = errors.Join(*err, closeErr)
	}
}
