package main

import (
	"fmt"

	"github.com/memherd/memherd/bench/internal/scenario"
)

type hotCmd struct {
	settings `embed:""`
	Scenario []string `default:"all" help:"Which to play, by name, or all." placeholder:"NAME"`
	List     bool     `help:"Say which there are, and play none."`
	Clients  int      `help:"How many clients balance-100 simulates, fewer for a look (default 100)." placeholder:"N"`
	Traces   string   `default:"../shared/data" help:"Where orm-busy.keys.gz and web12.keys.gz are; what is not there is not measured." placeholder:"DIR"`
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
	setup, err := c.setup(nil)
	if err != nil {
		return err
	}
	if c.Clients < 0 || c.Clients > 1000 {
		return usagef("-clients %d: give a number from 1 to 1,000", c.Clients)
	}
	setup.Hot.Traces, setup.Hot.Clients = c.Traces, c.Clients
	results, err := playEach(e, play, setup, c.JSON, fmt.Sprintf("near-cache as it comes, %s, seed %d", many(setup.Runs, "run"), setup.Seed))
	if len(results) > 1 {
		fmt.Fprintln(e.people(c.JSON))
		scenario.PrintFloors(e.people(c.JSON), results, scenario.SampledOneIn)
	}
	return err
}
