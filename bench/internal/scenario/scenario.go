// Package scenario plays faults on real memcached processes, each behind a proxy, and
// holds what callers see against what memherd promises. gomemcache plays the same where
// that says something.
package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Setup is what all scenarios are played with.
type Setup struct {
	Workers int           `json:"workers"` // operations under way, closed loop
	Keys    int           `json:"keys"`
	Timeout time.Duration `json:"timeout_ns"` // of both clients, also to dial
	// Phase is how long each phase of a scenario takes: before, during and after a fault.
	Phase time.Duration `json:"phase_ns"`
	// Deletes is how many keys are deleted during a partition, Rounds how often a stopped
	// node goes on within one run.
	Deletes int `json:"deletes"`
	Rounds  int `json:"rounds"`
	// Crowd is how many requests of others a stopped node finds before a dead connection's
	// writes, on each of 16 connections. Ten take it a tenth of a second.
	Crowd int `json:"crowd"`
	// Gap is the pause between two nodes of a rolling restart or replacement.
	Gap time.Duration `json:"gap_ns"`
	// Announce is how long the changes of rapid are announced, if more than 300 ms.
	Announce time.Duration `json:"announce_ns"`
	Runs     int           `json:"runs"`
	Seed     uint64        `json:"seed"`
	Herd     Herd          `json:"herd"`
	Hot      Hot           `json:"hot"`
}

// Full is what the figures in DESIGN.md come from; Quick only shows that a scenario
// plays and that nothing wrong comes back.
var (
	Full = Setup{Workers: 32, Keys: 3000, Timeout: 100 * time.Millisecond, Phase: 2 * time.Second,
		Deletes: 10_000, Rounds: 10, Crowd: 10, Gap: 3 * time.Second, Runs: 3, Seed: 1, Herd: fullHerd, Hot: fullHot}
	Quick = Setup{Workers: 8, Keys: 300, Timeout: 100 * time.Millisecond, Phase: 150 * time.Millisecond,
		Deletes: 500, Rounds: 1, Crowd: 1, Gap: 100 * time.Millisecond, Announce: time.Second, Runs: 1, Seed: 1, Herd: quickHerd, Hot: quickHot}
)

const (
	Copies    = 2   // of each key
	valueSize = 100 // bytes
	reads     = 0.9 // share of the operations; the rest are sets
)

// Scenario is one fault and what must hold of it.
type Scenario struct {
	Name  string
	Title string
	// Figures are what it measures, in the order in which they are shown.
	Figures []Figure
	// Rival says that gomemcache plays it, too.
	Rival bool
	// Once says that it is large enough to be played once, whatever Setup.Runs says.
	Once bool
	play func(r *run) error
}

// Faults are the scenarios of nodes that fail, in the order in which they are played.
func Faults() []Scenario {
	return slices.Concat(outages(), meddling(), []Scenario{rejoin()}, zombie(), restarts(), changes(), []Scenario{dns()})
}

// Loads are the scenarios of what reaches the origin.
func Loads() []Scenario {
	return []Scenario{stampede(), steady(), holder(), slowOrigin(), emptied(), killed(), foreign()}
}

// Group is a list of scenarios that belong together.
type Group struct {
	Name      string
	Scenarios []Scenario
}

// Groups are all scenarios there are. A new group is registered by adding it here; names are unique over
// all of them.
func Groups() []Group {
	return []Group{{"fault", Faults()}, {"loads", Loads()}, {"hot", HotKeys()}}
}

// All are the scenarios of all groups.
func All() (all []Scenario) {
	for _, g := range Groups() {
		all = append(all, g.Scenarios...)
	}
	return all
}

// Find returns those of all whose names are given; "all" is all of them.
func Find(all []Scenario, names []string) ([]Scenario, error) {
	var out []Scenario
	for _, name := range names {
		if name == "all" {
			return all, nil
		}
		i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			var have []string
			for _, s := range all {
				have = append(have, s.Name)
			}
			return nil, fmt.Errorf("there is no scenario %q: give all or some of %s", name, strings.Join(have, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}
