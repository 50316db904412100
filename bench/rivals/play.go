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

// playTables plays the tables and prints each as soon as it is there.
func playTables(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	s, err := start(ctx, o.on, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	g := game{o: o, s: s, arenas: map[string]*contest.Arena{}, stdout: stdout}
	for _, on := range o.on {
		g.arenas[on] = s.arena(on)
	}
	if g.res.Memcached, err = version(); err != nil {
		return err
	}
	g.res.Rounds, g.res.SlotMS, g.res.Seed = o.Rounds, float64(o.Slot)/float64(time.Millisecond), o.Seed
	fmt.Fprintf(stdout, "memherd's client and others on memcached %s, all on this machine; %d rounds of %v each in turn, seed %d\n\n", g.res.Memcached, o.Rounds, o.Slot, o.Seed)
	bar := progress.New(stderr, int64(g.turns()))
	bar.Step("comparing")
	done := int64(0)
	g.o.Watch = func(word string) { bar.Set(done, word); done++ }
	var broken error
	for _, name := range o.tables {
		if broken = g.table(ctx, name); broken != nil {
			break
		}
	}
	bar.Close()
	if broken != nil && (ctx.Err() == nil || len(g.res.Tables) == 0) {
		return broken
	}
	g.close() // of what there was when it was stopped
	return errors.Join(broken, g.write())
}

// write writes the files that were asked for.
func (g *game) write() error {
	o := g.o
	if o.html != "" {
		notes := []string{"memcached " + g.res.Memcached, fmt.Sprintf("%d rounds of %v each in turn", o.Rounds, o.Slot), fmt.Sprintf("seed %d", o.Seed)}
		if err := contest.Page("memherd's client and others", notes, g.res.Tables, time.Now()).Write(o.html); err != nil {
			return err
		}
	}
	if o.json != "" {
		return report.WriteJSON(o.json, g.stdout, g.res)
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
	arenas map[string]*contest.Arena // by kind of servers
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
			for _, on := range g.o.on {
				n += g.arenas[on].Turns(t)
			}
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
	for _, on := range g.o.on {
		res, err := g.arenas[on].Play(ctx, as(t, on), g.o.Options)
		if len(res.Rows) > 0 {
			res.Print(g.stdout)
			g.res.Tables = append(g.res.Tables, res)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// as is the table on a kind of servers: what is promised is promised on memcached.
func as(t contest.Table, on string) contest.Table {
	if on == onMemcached {
		return t
	}
	t.Name += " on " + on
	t.Title += ", nodes in this process"
	return t.Unpromised()
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
