package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/pace"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/subject"
)

// measure runs a subject under the given operations, shows the progress and writes
// the report. total is what the progress is measured by: operations, or 0 for time.
func (t *target) measure(e *env, name string, s *subject.Subject, cfg drive.Config, do drive.Do, notes ...string) error {
	unit := cfg.Ops
	if cfg.Duration > 0 {
		unit = int64(cfg.Duration)
	}
	bar := progress.New(e.stderr, unit)
	bar.Step(name)
	cfg.Workers, cfg.Rate, cfg.MaxRate, cfg.Seed = t.Concurrency, t.Rate, t.MaxRate, t.Seed
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
	res.Notes = append(res.Notes, generator(cfg, run, cputime.Self()-usage)...)
	if timed(cfg) {
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
	fmt.Fprintf(out, "memherd: %s, %d at a time, seed %d\n\n", t.fleet(), t.Concurrency, t.Seed)
	report.Table(out, res)
	report.HotKeys(out, "hottest keys", res.HotKeys, 5)
	if t.HTML != "" {
		if err := report.WriteHTML(t.HTML, "memherd: "+name, res, time.Now()); err != nil {
			return err
		}
	}
	if t.HDR != "" {
		if err := writeHDR(t.HDR, "bench "+name, run); err != nil {
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

// fullCPU is the share of the CPUs from which on they count as used up: the rest is the system's.
const fullCPU = 0.9

// generator says what the generator knows about itself, and whether the figures are about it.
func generator(cfg drive.Config, run drive.Result, cpu time.Duration) []string {
	if run.Elapsed <= 0 {
		return nil
	}
	used, all := cpu.Seconds()/run.Elapsed.Seconds(), float64(runtime.GOMAXPROCS(0))
	full, notes := used >= fullCPU*all, []string{fmt.Sprintf("this process used %.1f of %.0f CPUs", used, all)}
	if late := behind(cfg, run); late > 0 {
		why := fmt.Sprintf("all %d workers (-concurrency) were waiting, for replies or for a CPU", cfg.Workers)
		if full {
			why = "the generator was the bottleneck, its CPUs were used up"
		}
		return append(notes, fmt.Sprintf("it ended %v behind its timetable: %s; lower -rate or -speed", late.Round(time.Millisecond), why))
	}
	if lag := time.Duration(run.Lag().P99 * 1e3); timed(cfg) && lag > lagLimit {
		return append(notes, fmt.Sprintf("the generator was the bottleneck: it began 1 %% of its operations over %v late; lower -rate or -speed", lag.Round(time.Microsecond)))
	}
	if full && !timed(cfg) {
		notes[0] += ": what bounds the figures is this process, with the nodes in it, not servers elsewhere"
	}
	return notes
}

// timed says whether there is a timetable, so that the loop is an open one.
func timed(cfg drive.Config) bool { return cfg.Rate > 0 || cfg.Due != nil }

// behind is how much longer a run took than its timetable says; 0 if that is little, or there is none.
func behind(cfg drive.Config, run drive.Result) time.Duration {
	var planned time.Duration
	switch ops := run.Ops(); {
	case !timed(cfg) || ops == 0:
		return 0
	case cfg.Due != nil:
		planned = cfg.Due(ops - 1)
		if cfg.MaxRate > 0 {
			planned = max(planned, pace.Span(float64(ops)/cfg.MaxRate*1e9))
		}
	default:
		planned = pace.Span(float64(ops) / cfg.Rate * 1e9)
	}
	if late := run.Elapsed - planned; late > planned/20 && late > 100*time.Millisecond {
		return late
	}
	return 0
}

// warmUp runs a workload without measuring it: what it has stored is there then, connections are open, hot keys found.
// What must not happen counts then, too, and ends it.
func (t *target) warmUp(e *env, s *subject.Subject, lasts time.Duration, do drive.Do) error {
	bar := progress.New(e.stderr, int64(lasts))
	defer bar.Close()
	bar.Step("warm-up")
	before := s.Snapshot()
	run, err := drive.Run(e.ctx, drive.Config{
		Workers: t.Concurrency, Duration: lasts, Rate: t.Rate, MaxRate: t.MaxRate,
		Seed:  t.Seed ^ 1<<63, // the run itself makes other requests
		Watch: func(ops int64, elapsed time.Duration) { bar.Set(int64(elapsed), report.Count(ops)+" op") },
	}, do)
	if err != nil {
		return usageError{err}
	}
	if e.ctx.Err() != nil {
		return errors.New("stopped in the warm-up: there is nothing to show yet")
	}
	if res := s.Result("warm-up", t.Seed, before, run); !res.Ok() {
		report.Table(e.people(t.JSON), res)
		return errFailed
	}
	return nil
}

// writeHDR writes the latencies over time to path, whole or not at all.
func writeHDR(path, what string, run drive.Result) error {
	var log bytes.Buffer
	if err := measure.WriteLog(&log, what, run.Start, run.Intervals); err != nil {
		return err
	}
	return report.WriteWhole(path, log.Bytes())
}

// closing joins the error of what closes at the end to the one a command ends with.
func closing(err *error, f func() error) {
	if closeErr := f(); closeErr != nil {
		*err = errors.Join(*err, closeErr)
	}
}
