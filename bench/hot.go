package main

import (
	"fmt"

	"github.com/memherd/memherd/bench/internal/scenario"
)

type hotCmd struct {
	Scenario []string `default:"all" help:"Which to play, by name, or all." placeholder:"NAME"`
	List     bool     `help:"Say which there are, and play none."`
	Runs     int      `default:"3" help:"Runs of each; the least and the most are shown."`
	Quick    bool     `help:"Play each once, for an instant: right or wrong, but no figures."`
	Seed     uint64   `default:"1" help:"Seed of the load and of the detectors."`
	Traces   string   `default:"../shared/data" help:"Where orm-busy.keys.gz and web12.keys.gz are; what is not there is not measured." placeholder:"DIR"`
	JSON     string   `name:"json" help:"Also write the results as JSON to this file (- is stdout; the tables then go to stderr)." placeholder:"OUT"`
}

func (c *hotCmd) Run(e *env) error {
	play, err := found(scenario.HotKeys(), c.Scenario)
	if err != nil {
		return err
	}
	if c.List {
		listTitles(e, play)
		return nil
	}
	if c.Runs < 1 {
		return usagef("-runs must be positive")
	}
	setup := scenario.Full
	if c.Quick {
		setup = scenario.Quick
	} else {
		setup.Runs = c.Runs
	}
	setup.Seed, setup.Hot.Traces = c.Seed, c.Traces
	return playAll(e, play, setup, c.JSON, fmt.Sprintf("near-cache as it comes, %d runs, seed %d", setup.Runs, setup.Seed))
}
