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
	open := t.Rate > 0 || cfg.Due != nil
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
	res.Notes = append(res.Notes, generator(open, run, cputime.Self()-usage)...)
	if open {
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

// generator says what the generator knows about itself.
func generator(open bool, run drive.Result, cpu time.Duration) []string {
	if run.Elapsed <= 0 {
		return nil
	}
	notes := []string{fmt.Sprintf("this process used %.1f of %d CPUs", cpu.Seconds()/run.Elapsed.Seconds(), runtime.GOMAXPROCS(0))}
	if lag := time.Duration(run.Lag().P99 * 1e3); open && lag > lagLimit {
		notes = append(notes, fmt.Sprintf("the generator was the bottleneck: it began 1 %% of its operations over %v late; lower -rate or -speed", lag.Round(time.Microsecond)))
	}
	return notes
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
