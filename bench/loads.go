package main

import (
	"fmt"

	"github.com/memherd/memherd/bench/internal/scenario"
)

type loadsCmd struct {
	Scenario  []string `default:"all" help:"Which to play, by name, or all." placeholder:"NAME"`
	List      bool     `help:"Say which there are, and play none."`
	Runs      int      `default:"3" help:"Runs of each; the least and the most are shown. killed and foreign are played once."`
	Kills     int      `default:"1000" help:"How often killed kills its writer."`
	Schedules int      `default:"1000" help:"How many schedules foreign plays."`
	Quick     bool     `help:"Play each once, for an instant: right or wrong, but no figures."`
	Seed      uint64   `default:"1" help:"Seed of the load and of what happens to it."`
	JSON      string   `name:"json" help:"Also write the results as JSON to this file (- is stdout; the tables then go to stderr)." placeholder:"OUT"`
}

func (c *loadsCmd) Run(e *env) error {
	play, err := found(scenario.Loads(), c.Scenario)
	if err != nil {
		return err
	}
	if c.List {
		listTitles(e, play)
		return nil
	}
	if c.Runs < 1 || c.Kills < 1 || c.Schedules < 1 {
		return usagef("-runs, -kills and -schedules must be positive")
	}
	setup := scenario.Full
	if c.Quick {
		setup = scenario.Quick
	} else {
		setup.Runs, setup.Herd.Kills, setup.Herd.Schedules = c.Runs, c.Kills, c.Schedules
	}
	setup.Seed = c.Seed
	return playAll(e, play, setup, c.JSON, fmt.Sprintf("%d copies, client timeout %v, %d runs, seed %d", scenario.Copies, scenario.HerdTimeout, setup.Runs, setup.Seed))
}
