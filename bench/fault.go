package main

import (
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/scenario"
)

type faultCmd struct {
	settings `embed:""`
	Scenario []string      `default:"all" help:"Which to play, by name, or all." placeholder:"NAME"`
	List     bool          `help:"Say which there are, and play none."`
	Phase    time.Duration `default:"2s" help:"Length of each phase: before, during and after a fault."`
	Gap      time.Duration `default:"3s" help:"Pause between two nodes of a rolling restart or replacement."`
	Rounds   int           `default:"10" help:"How often a stopped node goes on within one run of zombie."`
}

func (c *faultCmd) Run(e *env) error {
	play, err := found(scenario.Faults(), c.Scenario)
	if err != nil {
		return err
	}
	if c.List {
		listTitles(e, play)
		return nil
	}
	if c.Rounds < 1 || c.Phase < 10*time.Millisecond || c.Gap < 10*time.Millisecond {
		return usagef("-rounds must be positive, -phase and -gap at least 10ms")
	}
	setup, err := c.setup(func(s *scenario.Setup) { s.Phase, s.Gap, s.Rounds = c.Phase, c.Gap, c.Rounds })
	if err != nil {
		return err
	}
	return playAll(e, play, setup, c.JSON, fmt.Sprintf("%d copies, %d workers, timeout %v, %d keys, phases of %v, %s, seed %d",
		scenario.Copies, setup.Workers, setup.Timeout, setup.Keys, setup.Phase, many(setup.Runs, "run"), setup.Seed))
}
