package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/nodeserver/stock"
)

// results are what -json writes.
type results struct {
	Memcached string           `json:"memcached"` // its version
	Rounds    int              `json:"rounds"`
	SlotMS    float64          `json:"slot_ms"`
	Seed      uint64           `json:"seed"`
	Tables    []contest.Result `json:"tables"`
	Allocs    []contest.Alloc  `json:"allocs,omitempty"`
	Parts     []part           `json:"parts,omitempty"`
}

// compare plays the tables and prints each as soon as it is there.
func compare(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	s, err := start(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	g := game{o: o, s: s, arena: contest.Arena{Players: s.players}, stdout: stdout}
	if g.res.Memcached, err = version(); err != nil {
		return err
	}
	g.res.Rounds, g.res.SlotMS, g.res.Seed = o.Rounds, float64(o.Slot)/float64(time.Millisecond), o.Seed
	fmt.Fprintf(stdout, "memherd's client and others on memcached %s, all on this machine; %d rounds of %v each in turn, seed %d\n\n", g.res.Memcached, o.Rounds, o.Slot, o.Seed)
	bar := progress.New(stderr, int64(g.turns()))
	bar.Step("comparing")
	done := int64(0)
	g.o.Watch = func(word string) { bar.Set(done, word); done++ }
	for _, name := range o.tables {
		if err := g.table(ctx, name); err != nil {
			bar.Close()
			return err
		}
	}
	bar.Close()
	g.close()
	if o.json != "" {
		return report.WriteJSON(o.json, stdout, g.res)
	}
	return nil
}

func version() (string, error) {
	path, err := stock.Find()
	if err != nil {
		return "", err
	}
	return stock.Version(path)
}

type game struct {
	o      options
	s      *servers
	arena  contest.Arena
	stdout io.Writer
	res    results
}

func find(name string) (contest.Table, bool) {
	tables := contest.Tables()
	i := slices.IndexFunc(tables, func(t contest.Table) bool { return t.Name == name })
	if i < 0 {
		return contest.Table{}, false
	}
	return tables[i], true
}

// turns is how many turns all tables have.
func (g *game) turns() int {
	n := 0
	for _, name := range g.o.tables {
		if t, ok := find(name); ok {
			n += g.arena.Turns(t)
		}
	}
	return n * g.o.Rounds
}

func (g *game) table(ctx context.Context, name string) (err error) {
	switch name {
	case allocsTable:
		if g.res.Allocs, err = contest.Allocs(ctx, g.s.memcached[0].Addr(), 1000); err == nil {
			contest.PrintAllocs(g.stdout, g.res.Allocs)
		}
		return err
	case partsTable:
		// It has a memcached of its own and, being far quicker, three times the rounds.
		if g.res.Parts, err = runParts(ctx, 3*g.o.Rounds); err == nil {
			printParts(g.stdout, g.res.Parts)
		}
		return err
	}
	t, _ := find(name) // parse has seen to it that it is there
	res, err := g.arena.Play(ctx, t, g.o.Options)
	if err != nil {
		return err
	}
	res.Print(g.stdout)
	g.res.Tables = append(g.res.Tables, res)
	return nil
}

// close says how to read the tables and how many promises hold.
func (g *game) close() {
	if len(g.res.Tables) > 0 {
		contest.Legend(g.stdout)
	}
	var sum contest.Tally
	for i := range g.res.Tables {
		sum = g.res.Tables[i].Tally(sum)
	}
	if sum.Judged > 0 {
		fmt.Fprintf(g.stdout, "%d of %d floors are reached, %d are lost in the noise.\n", sum.Held, sum.Judged, sum.Noisy)
	}
}
