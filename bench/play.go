package main

import (
	"fmt"
	"strings"

	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/scenario"
	"github.com/memherd/memherd/nodeserver/stock"
)

// scenarioReport is what -json writes.
type scenarioReport struct {
	Setup     scenario.Setup    `json:"setup"`
	Server    string            `json:"server"`
	Scenarios []scenario.Result `json:"scenarios"`
	Stopped   string            `json:"stopped_in,omitempty"` // the scenario that Ctrl-C broke off
}

// found are the scenarios of a flag -scenario.
func found(all []scenario.Scenario, names []string) ([]scenario.Scenario, error) {
	play, err := scenario.Find(all, names)
	if err != nil {
		return nil, usageError{fmt.Errorf("-scenario: %w", err)}
	}
	return play, nil
}

// listTitles says which scenarios there are.
func listTitles(e *env, play []scenario.Scenario) {
	var rows [][]string
	for _, s := range play {
		rows = append(rows, []string{s.Name, s.Title})
	}
	report.Align(e.stdout, rows)
}

// playAll plays scenarios and prints each as soon as it is over. how says with what.
func playAll(e *env, play []scenario.Scenario, setup scenario.Setup, json, how string) error {
	_, err := playEach(e, play, setup, json, how)
	return err
}

// playEach is playAll and returns what came of those that were played.
func playEach(e *env, play []scenario.Scenario, setup scenario.Setup, json, how string) ([]scenario.Result, error) {
	if err := report.CheckJSONPath(json); err != nil {
		return nil, usageError{err}
	}
	path, err := stock.Find()
	if err != nil {
		return nil, usageError{err}
	}
	version, err := stock.Version(path)
	if err != nil {
		return nil, err
	}
	all := scenarioReport{Setup: setup, Server: "memcached " + version, Scenarios: []scenario.Result{}}
	turns := 0
	for _, s := range play {
		turns += s.Turns(setup)
	}
	out := e.people(json)
	fmt.Fprintf(out, "%s, %s\n\n", all.Server, how)
	bar := progress.New(e.stderr, int64(turns))
	defer bar.Close()
	done, unsafe, bounds, held := int64(0), []string(nil), 0, 0
	for _, s := range play {
		bar.Step(s.Name)
		res, err := scenario.Play(e.ctx, s, setup, func(word string) { bar.Set(done, word); done++ })
		if err != nil && e.ctx.Err() != nil {
			all.Stopped = s.Name // and what has been played is still told
			break
		}
		if err != nil {
			return nil, err
		}
		res.Print(out)
		all.Scenarios = append(all.Scenarios, res)
		if res.Unsafe() {
			unsafe = append(unsafe, s.Name)
		}
		b, h := res.Tally()
		bounds, held = bounds+b, held+h
	}
	if len(all.Scenarios) > 0 {
		fmt.Fprintf(out, "%d of %d floors held\n", held, bounds)
	}
	if all.Stopped != "" {
		fmt.Fprintf(out, "stopped in %s: of it, and of what was to follow, there is nothing\n", all.Stopped)
	}
	if json != "" {
		if err := report.WriteJSON(json, e.stdout, all); err != nil {
			return nil, err
		}
	}
	if len(unsafe) > 0 {
		fmt.Fprintf(out, "what must never be was seen in %s\n", strings.Join(unsafe, ", "))
		return all.Scenarios, errFailed
	}
	if all.Stopped != "" {
		return all.Scenarios, errFailed
	}
	return all.Scenarios, nil
}
