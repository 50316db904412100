package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/demo"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/loader"
)

type demoCmd struct {
	Duration time.Duration `short:"d" default:"32s" help:"Length of all phases together."`
	Rows     int           `default:"100000" help:"Rows in the database."`
	Workers  int           `short:"c" name:"concurrency" default:"32" help:"Operations under way at a time."`
	Seed     uint64        `default:"1" help:"Seed of rows and requests."`
	Write    string        `default:"through" enum:"through,around" help:"Write policy: through or around."`
	HTML     string        `name:"html" help:"Also write a page with plots to this file." placeholder:"OUT"`
	HTTP     string        `name:"http" help:"Serve the live page at this address meanwhile, as 127.0.0.1:8080; anybody who reaches it sees it." placeholder:"ADDR"`
	JSON     string        `name:"json" help:"Also write the results as JSON to this file (- is stdout; the table then goes to stderr)." placeholder:"OUT"`
}

func (c *demoCmd) Run(e *env) error {
	switch {
	case c.Duration < 100*time.Millisecond:
		return usagef("-duration %v: give at least 100ms", c.Duration)
	case c.Rows < 100 || c.Rows > 10_000_000:
		return usagef("-rows %d: give a number from 100 to 10000000", c.Rows)
	case c.Workers < 1 || c.Workers > maxWorkers:
		return usagef("-concurrency %d: give a number from 1 to %d", c.Workers, maxWorkers)
	}
	if err := report.CheckPaths(c.JSON, map[string]string{"-html": c.HTML}); err != nil {
		return usageError{err}
	}
	policy := loader.WriteThrough
	if c.Write == "around" {
		policy = loader.WriteAround
	}
	out := e.people(c.JSON)
	fmt.Fprintf(out, "memherd: 5 nodes in this process, 2 copies of each key, in front of %s rows\n"+
		"in SQLite; Zipf 0.99 reads with 5 %% writes (write-%s), %d at a time, seed %d\n\n", report.Count(int64(c.Rows)), c.Write, c.Workers, c.Seed)
	cfg := demo.Config{Duration: c.Duration, Rows: c.Rows, Workers: c.Workers, Seed: c.Seed, Write: policy}
	if c.HTTP != "" {
		page, err := servePage(c.HTTP, out)
		if err != nil {
			return usageError{err}
		}
		defer page.close()
		cfg.Serve = page.show
	}
	res, err := demo.Run(e.ctx, cfg, e.stderr)
	if len(res.Phases) > 0 {
		report.Table(out, append(res.Phases, res)...)
		what, keys := hottest(res)
		report.HotKeys(out, what, keys, 5)
		verdict(out, res)
	}
	if err != nil {
		return err
	}
	if c.HTML != "" {
		if err := report.WriteHTML(c.HTML, "memherd demo", res, time.Now()); err != nil {
			return err
		}
	}
	if c.JSON != "" {
		if err := report.WriteJSON(c.JSON, e.stdout, res); err != nil {
			return err
		}
	}
	if !res.Ok() || e.ctx.Err() != nil {
		return errFailed
	}
	return nil
}

// hottest are the hot keys at the end of the storm, or of all, if it did not come to that, and what to call them.
func hottest(res report.Result) (what string, keys []report.HotKey) {
	for _, p := range res.Phases {
		if p.Name == "storm" {
			return "hottest at the end of the storm", p.HotKeys
		}
	}
	return "hottest keys", res.HotKeys // it was stopped before
}

func verdict(w io.Writer, res report.Result) {
	fmt.Fprintln(w)
	word := func(ok bool) string {
		if ok {
			return "ok    "
		}
		return "FAILED"
	}
	fmt.Fprintf(w, "%s  %s errors reached callers in %s operations\n", word(res.Errors == 0), report.Count(res.Errors), report.Count(res.Ops))
	fmt.Fprintf(w, "%s  %s wrong values: %s reads checked for key, version and checksum\n", word(res.Wrong == 0), report.Count(res.Wrong), report.Count(res.Reads))
	if s := res.Storm; s != nil {
		printStorm(w, s)
	}
	if r := res.Recovery; r != nil {
		switch {
		case r.SteadyOpsPerS == 0:
			fmt.Fprintln(w, "short   too short to say how fast the rate was back after the kill: give a longer -duration")
		case r.MS == 0:
			fmt.Fprintf(w, "ok      a second long after the kill at least 90 %% of the %s op/s before\n", report.Count(int64(r.SteadyOpsPerS)))
		case !r.Recovered:
			fmt.Fprintf(w, "slow    below 90 %% of the %s op/s before the kill until the phase ended\n", report.Count(int64(r.SteadyOpsPerS)))
		default:
			grade := "ok    "
			if r.MS > 1000 {
				grade = "slow  "
			}
			fmt.Fprintf(w, "%s  %s ms after the kill back at 90 %% of %s op/s (lowest: %.0f %%)\n",
				grade, report.Count(int64(r.MS)), report.Count(int64(r.SteadyOpsPerS)), 100*r.LowestShare)
		}
	}
}

// printStorm says when the key of the storm was found, and what each node had to bear before and after.
func printStorm(w io.Writer, s *report.Storm) {
	after := func(ms float64) string {
		if ms < 0 {
			return "never"
		}
		return fmt.Sprintf("after %.1f ms", ms)
	}
	grade := "ok    "
	if s.PromotedMS < 0 {
		grade = "slow  "
	}
	fmt.Fprintf(w, "%s  storm of %.0f %% on %s: found %s, in memory's charge %s\n", grade, 100*s.Share, s.Key, after(s.DetectedMS), after(s.PromotedMS))
	for i, n := range slices.Sorted(maps.Keys(s.After)) {
		name := "requests/s to"
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(w, "        %-13s %-8s %9s before the storm, %9s in it\n", name, n, report.Count(int64(s.Before[n])), report.Count(int64(s.After[n])))
	}
}
