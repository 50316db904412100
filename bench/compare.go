package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/nodeserver/stock"
)

type compareCmd struct {
	Server     string        `help:"Compare on this server instead of one of the bench's own." placeholder:"ADDR"`
	On         []string      `default:"memcached" enum:"memcached,memnode" help:"Which servers of its own to compare on: memcached, memnode (a node in this process), or memcached,memnode for both."`
	Goroutines []int         `short:"g" default:"1,8,64,256" help:"Numbers of goroutines."`
	Rounds     int           `default:"9" help:"Rounds; the median counts."`
	Slot       time.Duration `default:"500ms" help:"Length of each client's turn in a round."`
	Keys       int           `default:"1000" help:"Number of keys."`
	Size       int           `default:"100" help:"Bytes of a value."`
	Deadline   bool          `help:"Give each get a context.WithTimeout of its own."`
	Seed       uint64        `default:"1" help:"Seed of the requests."`
	HTML       string        `name:"html" help:"Also write a page with plots to this file." placeholder:"OUT"`
	JSON       string        `name:"json" help:"Also write the results as JSON to this file (- is stdout)." placeholder:"OUT"`
}

func (c *compareCmd) Run(e *env) (err error) {
	for _, g := range c.Goroutines {
		if g < 1 || g > 10_000 {
			return usagef("-goroutines %d: give numbers from 1 to 10000", g)
		}
	}
	if len(c.Goroutines) == 0 || c.Rounds < 1 || c.Slot < time.Millisecond || c.Keys < 1 || c.Size < 1 || c.Size > 1<<20-1<<11 {
		return usagef("-goroutines, -rounds, -slot, -keys and -size must be positive, -slot at least 1ms, -size at most %d", 1<<20-1<<11)
	}
	if err := report.CheckPath("-html", c.HTML); err != nil {
		return usageError{err}
	}
	if err := report.CheckJSONPath(c.JSON); err != nil {
		return usageError{err}
	}
	kinds := c.On
	if c.Server != "" {
		kinds = []string{c.Server}
	}
	var all []contest.Result
	for _, kind := range kinds {
		res, err := c.compare(e, kind)
		if err != nil {
			return err
		}
		all = append(all, res)
	}
	contest.Legend(e.people(c.JSON))
	if c.HTML != "" {
		notes := []string{fmt.Sprintf("%d rounds of %v each in turn", c.Rounds, c.Slot), fmt.Sprintf("seed %d", c.Seed)}
		if err := contest.Page("memherd and gomemcache", notes, all, time.Now()).Write(c.HTML); err != nil {
			return err
		}
	}
	switch {
	case c.JSON == "":
		return nil
	case len(all) == 1:
		return report.WriteJSON(c.JSON, e.stdout, all[0])
	}
	return report.WriteJSON(c.JSON, e.stdout, all) // a list
}

// compare plays the table on one kind of server, or on the one at -server, and prints it.
func (c *compareCmd) compare(e *env, kind string) (res contest.Result, err error) {
	addr, what, cpu, stop, err := c.server(e, kind)
	if err != nil {
		return res, err
	}
	defer closing(&err, stop)
	arena := contest.Arena{Players: func(int) []contest.Player {
		return []contest.Player{contest.Gomemcache(contest.Base, cpu, addr), contest.Memherd(cpu, addr),
			contest.Gomemcache(contest.Noise, cpu, addr), contest.Bare(cpu, addr)}
	}}
	table := c.table(what)
	bar := progress.New(e.stderr, int64(arena.Turns(table)*c.Rounds))
	bar.Step("comparing on " + what)
	done := int64(0)
	res, err = arena.Play(e.ctx, table, contest.Options{Rounds: c.Rounds, Slot: c.Slot, Seed: c.Seed,
		Watch: func(word string) { bar.Set(done, word); done++ }})
	bar.Close()
	if err != nil {
		return res, err
	}
	res.Print(e.people(c.JSON))
	return res, nil
}

func (c *compareCmd) table(what string) contest.Table {
	t := contest.Table{Name: "get", Work: contest.Gets, Nodes: 1,
		Title: fmt.Sprintf("gets of %d B from %s, %d rounds of %v each in turn, seed %d", c.Size, what, c.Rounds, c.Slot, c.Seed)}
	if c.Deadline {
		t.Deadline = contest.Timeout
	}
	for _, g := range c.Goroutines {
		one := contest.GetCase(g, c.Size)
		one.Keys = c.Keys
		t.Cases = append(t.Cases, one)
	}
	return t
}

// server finds or starts the server the clients are compared on. cpu reads the CPU
// time it has used, nil if it is not a process of ours.
func (c *compareCmd) server(e *env, kind string) (addr, what string, cpu func() (time.Duration, error), stop func() error, err error) {
	if c.Server != "" {
		nodes, err := fleet.External(e.ctx, []string{c.Server}, false)
		if err != nil {
			return "", "", nil, nil, usageError{err}
		}
		return nodes[0].Addr, nodes[0].Addr, nil, func() error { return nil }, nil
	}
	if kind == "memcached" {
		m, err := stock.Start(stock.Config{MemoryMB: 256})
		if err == nil {
			version, err := fleet.Version(e.ctx, m.Addr())
			if err != nil {
				return "", "", nil, nil, errors.Join(err, m.Kill())
			}
			return m.Addr(), "memcached " + version, cputime.Reader(m.Pid()), m.Kill, nil
		}
		fmt.Fprintf(e.stderr, "bench: %s; comparing on a node in this process instead, which is not what the floors are about\n", oneLine(err))
	}
	f, err := fleet.Start(1, 0)
	if err != nil {
		return "", "", nil, nil, err
	}
	return f.Nodes()[0].Addr, "a node in this process", nil, f.Close, nil
}
