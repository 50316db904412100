package main

import (
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/scenario"
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

func (c *faultCmd) Run(e *env) error {
	play, err := found(scenario.Faults(), c.Scenario)
	if err != nil {
		return err
	}
	if c.Runs < 1 || c.Rounds < 1 || c.Phase < 10*time.Millisecond || c.Gap < 10*time.Millisecond {
		return usagef("-runs and -rounds must be positive, -phase and -gap at least 10ms")
	}
	setup := c.setup()
	return playAll(e, play, setup, c.JSON, fmt.Sprintf("%d copies, %d workers, timeout %v, %d keys, phases of %v, %d runs, seed %d",
		scenario.Copies, setup.Workers, setup.Timeout, setup.Keys, setup.Phase, setup.Runs, setup.Seed))
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
