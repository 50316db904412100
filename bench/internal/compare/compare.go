// Package compare is `bench compare`: clients that take turns on one server, in one table. Which clients there are
// beside memherd and gomemcache depends on the program: bench/rivals has some that would be a burden to bench.
package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/nodeserver/stock"
)

// Guests are clients that play, too, on the server at addr, whose CPU time cpu reads (nil if nobody knows).
type Guests func(cpu func() (time.Duration, error), addr string) []contest.Player

// Outputs are where it writes.
type Outputs struct {
	Stdout, Stderr io.Writer
}

// people is where the tables go: not to stdout if JSON goes there.
func (o Outputs) people(json string) io.Writer {
	if json == "-" {
		return o.Stderr
	}
	return o.Stdout
}

// Run compares as the options say, which Check has passed. When ctx ends, what there is by then is shown.
func Run(ctx context.Context, o Options, out Outputs, guests Guests) error {
	kinds := o.On
	if o.Server != "" {
		kinds = []string{o.Server}
	}
	g := game{Options: o, Outputs: out, guests: guests, log: turnLog{start: time.Now(), all: o.MaxRate > 0}}
	var all []contest.Result
	var broken error
	for _, kind := range kinds {
		res, err := g.on(ctx, kind)
		if len(res.Rows) > 0 {
			res.Print(out.people(o.JSON))
			all = append(all, res)
		}
		if err != nil {
			broken = err
			break
		}
	}
	if len(all) == 0 {
		return broken
	}
	return errors.Join(broken, g.write(all))
}

type game struct {
	Options
	Outputs
	guests Guests
	log    turnLog
}

// on plays the table on one kind of server, or on the one at -server.
func (g *game) on(ctx context.Context, kind string) (res contest.Result, err error) {
	s, err := g.server(ctx, kind)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	arena := contest.Arena{Players: func(int) []contest.Player {
		all := []contest.Player{contest.Gomemcache(contest.Base, s.cpu, s.addr), contest.Memherd(s.cpu, s.addr), contest.Gomemcache(contest.Noise, s.cpu, s.addr)}
		if g.guests != nil {
			all = append(all, g.guests(s.cpu, s.addr)...)
		}
		return append(all, contest.Bare(s.cpu, s.addr))
	}}
	table := g.table(s.what)
	if s.memnode || g.MaxRate > 0 {
		table = table.Unpromised()
	}
	bar := progress.New(g.Stderr, int64(arena.Turns(table)*g.Rounds))
	defer bar.Close()
	bar.Step("comparing on " + s.what)
	done := int64(0)
	return arena.Play(ctx, table, contest.Options{Rounds: g.Rounds, Slot: g.Slot, Seed: g.Seed, MaxRate: g.MaxRate,
		Watch: func(word string) { bar.Set(done, word); done++ }, Took: g.log.took(kind)})
}

// write says how to read the tables, and writes the files that were asked for.
func (g *game) write(all []contest.Result) error {
	contest.Legend(g.people(g.JSON))
	if g.HTML != "" {
		notes := []string{fmt.Sprintf("%d rounds of %v each in turn", g.Rounds, g.Slot), fmt.Sprintf("seed %d", g.Seed)}
		if err := contest.Page("memherd's client and others", notes, all, time.Now()).Write(g.HTML); err != nil {
			return err
		}
	}
	if g.HDR != "" {
		if err := g.log.write(g.HDR); err != nil {
			return err
		}
	}
	switch {
	case g.JSON == "":
		return nil
	case len(all) == 1:
		return report.WriteJSON(g.JSON, g.Stdout, all[0])
	}
	return report.WriteJSON(g.JSON, g.Stdout, all) // a list
}

// server is the one the clients are compared on.
type server struct {
	addr, what string
	memnode    bool
	cpu        func() (time.Duration, error) // nil if it is not a process of ours
	stop       func() error
}

// server finds or starts it.
func (g *game) server(ctx context.Context, kind string) (*server, error) {
	if g.Server != "" {
		nodes, err := fleet.External(ctx, []string{g.Server}, g.IOwn)
		if err != nil {
			return nil, err
		}
		return &server{addr: nodes[0].Addr, what: nodes[0].Addr, stop: func() error { return nil }}, nil
	}
	if kind == "memcached" {
		// Clients without pipelines want a connection for each goroutine, more than memcached's default allows.
		m, err := stock.Start(stock.Config{MemoryMB: 256, Args: []string{"-c", "16384"}})
		if err == nil {
			version, err := fleet.Version(ctx, m.Addr())
			if err != nil {
				return nil, errors.Join(err, m.Kill())
			}
			return &server{addr: m.Addr(), what: "memcached " + version, cpu: cputime.Reader(m.Pid()), stop: m.Kill}, nil
		}
		fmt.Fprintf(g.Stderr, "bench: %v; comparing on a node in this process instead, which is not what the floors are about\n", err)
	}
	f, err := fleet.Start(1, 0)
	if err != nil {
		return nil, err
	}
	return &server{addr: f.Nodes()[0].Addr, what: "a node in this process", memnode: true, stop: f.Close}, nil
}
