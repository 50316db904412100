package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/scenario"
)

// scenarioCmd plays any scenario by its name; fault, loads and hot have settings of their own.
type scenarioCmd struct {
	settings `embed:""`
	Name     []string `arg:"" optional:"" help:"Which to play, by name, or all."`
	List     bool     `help:"Say which there are, and what each promises, and play none."`
	Traces   string   `default:"../shared/data" help:"Where orm-busy.keys.gz and web12.keys.gz are; what is not there is not measured, which is no pass." placeholder:"DIR"`
}

func (c *scenarioCmd) Run(e *env) error {
	if c.List {
		return c.list(e)
	}
	if len(c.Name) == 0 {
		return usagef("give the name of a scenario, or all; -list has them")
	}
	play, err := scenario.Find(scenario.All(), c.Name)
	if err != nil {
		return usageError{err}
	}
	setup, err := c.setup(nil)
	if err != nil {
		return err
	}
	setup.Hot.Traces = c.Traces
	results, err := playEach(e, play, setup, c.JSON, fmt.Sprintf("%d copies, %s, seed %d", scenario.Copies, many(setup.Runs, "run"), setup.Seed))
	if err != nil && !errors.Is(err, errFailed) {
		return err
	}
	rows, failed := [][]string(nil), false
	for i := range results {
		word := "pass"
		if !results[i].Passed(c.Quick) {
			word, failed = "FAIL", true
		}
		rows = append(rows, []string{word, results[i].Name, results[i].Summary()})
	}
	out := e.people(c.JSON)
	fmt.Fprintln(out)
	for _, r := range rows {
		fmt.Fprintf(out, "%s  %-12s %s\n", r[0], r[1], r[2])
	}
	if failed {
		return errFailed
	}
	return err
}

// list says which scenarios there are: only those named, if some are.
func (c *scenarioCmd) list(e *env) error {
	names := c.Name
	if len(names) == 0 {
		names = []string{"all"}
	}
	play, err := scenario.Find(scenario.All(), names)
	if err != nil {
		return usageError{err}
	}
	wanted := map[string]bool{}
	for _, s := range play {
		wanted[s.Name] = true
	}
	for _, g := range scenario.Groups() {
		for _, s := range g.Scenarios {
			if wanted[s.Name] {
				promises := strings.ReplaceAll(s.Promises(), "\n", " ")
				if promises == "" {
					promises = "figures alone, nothing is promised"
				}
				fmt.Fprintf(e.stdout, "%s (%s): %s\n    %s\n", s.Name, g.Name, s.Title, promises)
			}
		}
	}
	fmt.Fprintf(e.stdout, "\n%s scenarios\n", report.Count(int64(len(play))))
	return nil
}
