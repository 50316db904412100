// Command loaders compares memherd's loader with other ways to keep a cache in front of
// an origin: `make bench-loaders`. Four processes' worth of each replay a trace through
// memcacheds of their own on this machine, in turns, from an empty cache on.
//
//	loaders -trace orm-busy.keys.gz             the figures of DESIGN.md
//	loaders -trace zipf.keys.gz -rounds 1 -requests 20000   a look
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
	"strings"
	"syscall"
	"time"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/trace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	trace     string
	requests  int
	rounds    int
	processes int
	workers   int // of each process
	takes     time.Duration
	size      int
	json      string
}

// parse reads the arguments. Its errors are the user's.
func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("loaders", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.trace, "trace", "", "the trace to replay: *.keys, plain, gzip or zstd (required)")
	f.IntVar(&o.requests, "requests", 1_000_000, "how many of its requests; 0 is all")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	f.IntVar(&o.processes, "processes", 4, "caches of each kind that share the memcacheds and no memory")
	f.IntVar(&o.workers, "workers", 32, "requests under way in each of them")
	f.DurationVar(&o.takes, "load", 10*time.Millisecond, "how long the origin takes for a load")
	f.IntVar(&o.size, "size", 200, "bytes of a value")
	f.StringVar(&o.json, "json", "", "also write the results as JSON to this file (- is stdout)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %s: see -help", f.Arg(0))
	case o.trace == "":
		return o, errors.New("-trace is missing: give a file of keys")
	case o.requests < 0:
		return o, fmt.Errorf("-requests %d: give 0 for all, or a number", o.requests)
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds %d: give at least 1", o.rounds)
	case o.processes < 1 || o.workers < 1 || o.processes*o.workers > 10_000:
		return o, fmt.Errorf("-processes %d and -workers %d: give at least 1 of each and no more than 10,000 workers", o.processes, o.workers)
	case o.takes < 0:
		return o, fmt.Errorf("-load %v: give a time", o.takes)
	case o.size < 1 || o.size > 1<<19:
		return o, fmt.Errorf("-size %d: give 1 to %d bytes", o.size, 1<<19)
	}
	return o, report.CheckJSONPath(o.json)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var t *trace.Trace
	if err == nil {
		t, err = trace.Load(o.trace, o.requests, nil)
	}
	if err != nil {
		fmt.Fprintln(stderr, "loaders:", err)
		return 2
	}
	if err := compare(ctx, o, t, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "loaders:", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}
