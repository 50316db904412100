package main

import (
	"fmt"

	"github.com/memherd/memherd/bench/internal/scenario"
)

type loadsCmd struct {
	settings  `embed:""`
	Scenario  []string `default:"all" help:"Which to play, by name, or all." placeholder:"NAME"`
	List      bool     `help:"Say which there are, and play none."`
	Kills     int      `default:"1000" help:"How often killed kills its writer."`
	Schedules int      `default:"1000" help:"How many schedules foreign plays."`
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
	if c.Kills < 1 || c.Schedules < 1 {
		return usagef("-kills and -schedules must be positive")
	}
	setup, err := c.setup(func(s *scenario.Setup) { s.Herd.Kills, s.Herd.Schedules = c.Kills, c.Schedules })
	if err != nil {
		return err
	}
	return playAll(e, play, setup, c.JSON, fmt.Sprintf("%d copies, client timeout %v, %s, seed %d", scenario.Copies, scenario.HerdTimeout, many(setup.Runs, "run"), setup.Seed))
}
