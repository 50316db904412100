package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/bench/internal/scenario"
)

func main() {
	part.Main(scenario.Parts())
	// Who reads the output may leave, as head does: run ends in order then, and with it the servers that it has started.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first Ctrl-C ends a run in order; a second one ends the process.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // an error or a wrong value reached a caller, or the run broke off
	exitUsage  = 2 // bad input; nothing was done
)

type cli struct {
	Demo    demoCmd    `cmd:"" default:"withargs" help:"Five nodes, a real database, a hot-key storm, a node killed and back (the default)."`
	Run     runCmd     `cmd:"" help:"Run a workload."`
	Replay  replayCmd  `cmd:"" help:"Replay a recorded trace."`
	Nodes   nodesCmd   `cmd:"" help:"Run nodes to play with until Ctrl-C."`
	Compare compareCmd `cmd:"" help:"Compare memherd with gomemcache, grafana/gomemcache and rueidis on Redis, in turns, on memcached, memnode or both."`
	Fault   faultCmd   `cmd:"" help:"Play faults on real memcached processes behind proxies, and hold them against what is promised."`
	Loads   loadsCmd   `cmd:"" help:"Play stampedes, dying processes and origins in trouble, and count what reaches the origin."`
	Hot     hotCmd     `cmd:"" help:"Measure how hot keys are found and served: detection, staleness, the load of nodes."`
	Top     topCmd     `cmd:"" help:"Show the keys that a fleet is asked for most, without touching who asks."`
	Node    nodeCmd    `cmd:"" help:"Compare memnode with memcached: throughput, CPU time, memory."`

	Scenario scenarioCmd `cmd:"" help:"Play any scenario of fault, loads and hot by its name, or all: pass or fail; -list has them."`
	Hitratio hitratioCmd `cmd:"" help:"Compare the hit ratios of memnode and memcached on a trace."`
}

// env is what a command may use of the outside world.
type env struct {
	ctx            context.Context
	stdout, stderr io.Writer
}

// people is where what is meant for people goes: stdout, unless the results go there as
// JSON, which a program could not read with a table in front of it.
func (e *env) people(json string) io.Writer {
	if json == "-" {
		return e.stderr
	}
	return e.stdout
}

// usageError is bad input: the run ends with status 2 before anything was done.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errFailed ends a run with status 1 that has already said why.
var errFailed = errors.New("the run failed")

// helped is thrown by kong's exit after it has printed the help.
type helped struct{ code int }

// output is stdout; when nobody takes it any more the run ends.
type output struct {
	io.Writer
	end context.CancelCauseFunc
}

var errOutput = errors.New("nobody takes the output")

func (o output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil {
		o.end(errOutput)
	}
	return n, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stdout = output{stdout, end}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case helped:
			code = r.code
		default:
			panic(r)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("bench"), kong.Writers(stdout, stderr),
		kong.Description("Load for memherd: a demo, workloads, trace replays and comparisons."),
		kong.Exit(func(code int) { panic(helped{code}) }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	k, err := parser.Parse(twoDashes(args))
	if err != nil {
		fmt.Fprintf(stderr, "bench: %s: see `bench --help`\n", oneLine(err))
		return exitUsage
	}
	err = k.Run(&env{ctx: ctx, stdout: stdout, stderr: stderr})
	var usage usageError
	switch {
	case err == nil && context.Cause(ctx) == errOutput:
	case err == nil:
		return exitOK
	case errors.As(err, &usage) && !errors.Is(err, errFailed):
		fmt.Fprintf(stderr, "bench: %s\n", oneLine(err))
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "bench: stopped before its end")
	case err.Error() != errFailed.Error():
		// By its text, because kong hands an error on inside another. Joined to it there
		// may be what went wrong while closing.
		fmt.Fprintf(stderr, "bench: %s\n", oneLine(err))
	}
	return exitFailed
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

var (
	// long matches a long flag written with one dash, as Go's own tools write them.
	// Single letters, with or without a value stuck to them, are short flags.
	long = regexp.MustCompile(`^-[a-zA-Z][a-zA-Z-]+(=.*)?$`)
	// letter matches a short flag, and what = gives it.
	letter = regexp.MustCompile(`^(-[a-zA-Z])(?:=(.*))?$`)
	// negative matches a number below 0, which kong takes for a short flag.
	negative = regexp.MustCompile(`^-[0-9.]`)
)

// twoDashes lets flags be written with one dash, as Go's own are, and short ones with =: kong wants two, and none.
// A negative number goes with the flag before it, so that what is wrong with it is said in the command's words.
func twoDashes(args []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		a, short := args[i], letter.FindStringSubmatch(args[i])
		if a == "--" {
			return append(out, args[i:]...)
		}
		if long.MatchString(a) {
			a = "-" + a
		}
		if short != nil {
			a = short[1] + short[2]
		}
		if (short != nil || strings.HasPrefix(a, "--")) && !strings.Contains(args[i], "=") && i+1 < len(args) && negative.MatchString(args[i+1]) {
			i++
			if short == nil {
				a += "="
			}
			a += args[i]
		}
		out = append(out, a)
	}
	return out
}
