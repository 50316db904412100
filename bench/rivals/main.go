// Command rivals compares memherd's client with others, all on servers of its own on
// this machine: the client comparison of `make bench-client`. The other clients are in
// a module of their own, so that nobody who imports memherd inherits them.
//
//	rivals -quick                 a look, about a minute
//	rivals -tables get,parts      some of the tables
//	rivals -json out.json         keep the figures
//	rivals -compare JSON          what `bench compare` has it do
//
// The exit status is 0 if everybody gave right answers, whatever the figures; 1 if the
// comparison broke off, 2 if it was asked for something it can't do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/memherd/memherd/bench/internal/compare"
	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The tables that are not among contest.Tables.
const (
	partsTable  = "parts"
	allocsTable = "allocs"
)

func tableNames() []string {
	var names []string
	for _, t := range contest.Tables() {
		names = append(names, t.Name)
	}
	return append(names, partsTable, allocsTable)
}

type options struct {
	contest.Options
	tables []string
	on     []string // kinds of servers
	json   string
	html   string
	asked  *compare.Options // by bench compare, which checked them
}

// parse reads the arguments. Its errors are the user's.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("rivals", flag.ContinueOnError)
	f.SetOutput(stderr)
	tables := f.String("tables", strings.Join(tableNames(), ","), "which tables to play, in this order")
	on := f.String("on", onMemcached, "what everybody plays on: memcached, memnode (nodes in this process), or memcached,memnode for both")
	quick := f.Bool("quick", false, "a look: 3 rounds of 60 ms each, unless -rounds and -slot say otherwise")
	f.IntVar(&o.Rounds, "rounds", 5, "rounds of each case; the median counts")
	f.DurationVar(&o.Slot, "slot", 250*time.Millisecond, "length of each client's turn in a round")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the requests")
	f.StringVar(&o.json, "json", "", "also write the results as JSON to this file (- is stdout)")
	f.StringVar(&o.html, "html", "", "also write a page with plots to this file")
	asked := f.String("compare", "", "play what bench compare asks for, in JSON, and nothing else")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *asked != "" {
		o.asked = new(compare.Options)
		if *o.asked, err = compare.Decode(*asked); err != nil {
			return o, fmt.Errorf("-compare: %w", err)
		}
		return o, nil
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if *quick && !set["rounds"] {
		o.Rounds = 3
	}
	if *quick && !set["slot"] {
		o.Slot = 60 * time.Millisecond
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %s: see -help", f.Arg(0))
	case o.Rounds < 1:
		return o, fmt.Errorf("-rounds %d: give at least 1", o.Rounds)
	case o.Slot < time.Millisecond:
		return o, fmt.Errorf("-slot %v: give at least 1ms", o.Slot)
	}
	for name := range strings.SplitSeq(*tables, ",") {
		if !slices.Contains(tableNames(), name) {
			return o, fmt.Errorf("-tables %s: there are %s", name, strings.Join(tableNames(), ", "))
		}
		o.tables = append(o.tables, name)
	}
	for kind := range strings.SplitSeq(*on, ",") {
		if kind != onMemcached && kind != onMemnode || slices.Contains(o.on, kind) {
			return o, fmt.Errorf("-on %s: give memcached, memnode, or both once each", *on)
		}
		o.on = append(o.on, kind)
	}
	return o, report.CheckPaths(o.json, map[string]string{"-html": o.html})
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "rivals:", err)
		return 2
	}
	name := "rivals"
	if o.asked != nil {
		name, err = "bench", playAsked(ctx, *o.asked, stdout, stderr)
	} else {
		err = playTables(ctx, o, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}
