package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/scenario"
	"github.com/memherd/memherd/nodeserver/stock"
)

type faultCmd struct {
	Scenario []string      `default:"all" help:"Which to play, by name, or all." placeholder:"NAME"`
	Runs     int           `default:"3" help:"Runs of each; the least and the most are shown."`
	Phase    time.Duration `default:"2s" help:"Length of each phase: before, during and after a fault."`
	Gap      time.Duration `default:"3s" help:"Pause between two nodes of a rolling restart or replacement."`
	Rounds   int           `default:"10" help:"How often a stopped node goes on within one run of zombie."`
	Quick    bool          `help:"Play each once, for an instant: right or wrong, but no figures."`
	Seed     uint64        `default:"1" help:"Seed of the load and of the faults."`
	JSON     string        `name:"json" help:"Also write the results as JSON to this file (- is stdout; the tables then go to stderr)." placeholder:"OUT"`
}

// faultReport is what -json writes.
type faultReport struct {
	Setup     scenario.Setup    `json:"setup"`
	Server    string            `json:"server"`
	Scenarios []scenario.Result `json:"scenarios"`
}

func (c *faultCmd) Run(e *env) error {
	play, err := scenario.Find(c.Scenario)
	if err != nil {
		return usageError{fmt.Errorf("-scenario: %w", err)}
	}
	if c.Runs < 1 || c.Rounds < 1 || c.Phase < 10*time.Millisecond || c.Gap < 10*time.Millisecond {
		return usagef("-runs and -rounds must be positive, -phase and -gap at least 10ms")
	}
	if err := report.CheckJSONPath(c.JSON); err != nil {
		return usageError{err}
	}
	path, err := stock.Find()
	if err != nil {
		return usageError{err}
	}
	version, err := stock.Version(path)
	if err != nil {
		return err
	}
	all := faultReport{Setup: c.setup(), Server: "memcached " + version}
	turns := 0
	for _, s := range play {
		turns += s.Turns(all.Setup)
	}
	out := e.people(c.JSON)
	fmt.Fprintf(out, "%s, %d copies, %d workers, timeout %v, %d keys, phases of %v, %d runs, seed %d\n\n", all.Server, scenario.Copies,
		all.Setup.Workers, all.Setup.Timeout, all.Setup.Keys, all.Setup.Phase, all.Setup.Runs, all.Setup.Seed)
	bar := progress.New(e.stderr, int64(turns))
	defer bar.Close()
	done, unsafe, bounds, held := int64(0), []string(nil), 0, 0
	for _, s := range play {
		bar.Step(s.Name)
		res, err := scenario.Play(e.ctx, s, all.Setup, func(word string) { bar.Set(done, word); done++ })
		if err != nil {
			return err
		}
		res.Print(out)
		all.Scenarios = append(all.Scenarios, res)
		if res.Unsafe() {
			unsafe = append(unsafe, s.Name)
		}
		b, h := res.Tally()
		bounds, held = bounds+b, held+h
	}
	fmt.Fprintf(out, "%d of %d floors held\n", held, bounds)
	if c.JSON != "" {
		if err := report.WriteJSON(c.JSON, e.stdout, all); err != nil {
			return err
		}
	}
	if len(unsafe) > 0 {
		fmt.Fprintf(out, "wrong or stale values where none may be: %s\n", strings.Join(unsafe, ", "))
		return errFailed
	}
	return nil
}

func (c *faultCmd) setup() scenario.Setup {
	s := scenario.Full
	if c.Quick {
		s = scenario.Quick
	} else {
		s.Runs, s.Phase, s.Gap, s.Rounds = c.Runs, c.Phase, c.Gap, c.Rounds
	}
	s.Seed = c.Seed
	return s
}
