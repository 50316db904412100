package main

import (
	"fmt"

	"github.com/memherd/memherd/bench/internal/scenario"
)

// settings are the flags that all commands that play scenarios have.
type settings struct {
	Runs  int    `default:"3" help:"Runs of each; the least and the most are shown. Some are played once, whatever this says."`
	Quick bool   `help:"Play each once, for an instant: right or wrong, but no figures."`
	Seed  uint64 `default:"1" help:"Seed of the load and of what happens to it."`
	JSON  string `name:"json" help:"Also write the results as JSON to this file (- is stdout; the tables then go to stderr)." placeholder:"OUT"`
}

// setup is what they come to. full sets what else a command's flags say; it is left out with -quick, which has values
// of its own.
func (c *settings) setup(full func(*scenario.Setup)) (scenario.Setup, error) {
	if c.Runs < 1 {
		return scenario.Setup{}, usagef("-runs must be positive")
	}
	s := scenario.Quick
	if !c.Quick {
		s = scenario.Full
		s.Runs = c.Runs
		if full != nil {
			full(&s)
		}
	}
	s.Seed = c.Seed
	return s, nil
}

// many is n of what is called one.
func many(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
