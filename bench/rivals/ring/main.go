// Command ring compares memherd's placements with others: `make bench-ring`. It needs no
// servers.
//
//	ring -quick       3 fleets in place of 20, shorter timings
//	ring -fleets 5    so many fleets of each size
//
// The exit status is 1 if a join or a leave moved what it must not, 2 if the command was asked
// for something it can't do; figures that miss their floors are marked, no more.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options say how long to look.
type options struct {
	fleets int // of each size
	keys   int // placed on every rival's fleet
	rounds int // of timing everybody once
}

func run(args []string, out, stderr io.Writer) int {
	f := flag.NewFlagSet("ring", flag.ContinueOnError)
	f.SetOutput(stderr)
	fleets := f.Int("fleets", 20, "fleets of each size, of different names")
	quick := f.Bool("quick", false, "3 fleets and shorter timings, for a look")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if *fleets < 1 || f.NArg() > 0 {
		fmt.Fprintln(stderr, "ring: want at least one fleet, and no arguments")
		return 2
	}
	o := options{fleets: *fleets, keys: 300_000, rounds: 1000}
	if *quick {
		o = options{fleets: min(*fleets, 3), keys: 100_000, rounds: 100}
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "lookup, keys of 16 B\tnodes\tns, best\tns, median\tallocs\tgives\tfloor")
	for _, n := range []int{10, 1000} {
		costs(t, o, n)
	}
	fmt.Fprintln(t, "\ntime to build\tnodes\tms\t\t\t\tfloor")
	builds(t, 1000)
	t.Flush()

	fmt.Fprintf(t, "\nworst of %d fleets\tnodes\tshare max/mean\tfloor\their / fair part\tfloor\tmeasured by\n", o.fleets)
	for _, n := range []int{10, 100, 1000} {
		spreads(t, o, n)
		t.Flush()
	}
	fmt.Fprintln(t, "\nwhat moves\tnodes\tjoin: owners moved\tideal\tmoved besides\tleave: moved\tmoved besides")
	clean := true
	for _, n := range []int{10, 100} {
		clean = movements(t, o, n) && clean
	}
	t.Flush()
	fmt.Fprintln(out, "\nmemherd's shares, heirs and moves are counted over all slots, or measured along the whole circle; the others' over sampled keys.")
	if !clean {
		fmt.Fprintln(out, "memherd moved what it must not.")
		return 1
	}
	return 0
}

// fleet returns the names of the n nodes of the i-th fleet, in one of the ways in which
// fleets are named.
func fleet(i, n int) []string {
	names := make([]string, n)
	for j := range names {
		switch i % 4 {
		case 0:
			names[j] = fmt.Sprintf("10.%d.%d.%d:11211", i, j/250, j%250+1)
		case 1:
			names[j] = fmt.Sprintf("127.0.0.1:%d", 20000+i*1000+j)
		case 2:
			names[j] = fmt.Sprintf("memcached-%d.cache%d.svc.cluster.local", j, i)
		default:
			names[j] = fmt.Sprintf("c%d-%03d", i, j)
		}
	}
	return names
}

// verdict is a floor, with a mark if the figure missed it.
func verdict(figure, floor float64) string {
	switch {
	case floor == 0:
		return "-"
	case figure > floor:
		return fmt.Sprintf("%g MISSED", floor)
	}
	return fmt.Sprintf("%g met", floor)
}
