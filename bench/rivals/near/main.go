// Command near compares the near-cache's hits and misses with other caches in memory, and with one look at the clock:
// `make bench-near`. It needs no servers.
//
//	near -rounds 5    turns of everybody; the median counts
//	near -ops 100000  operations of each goroutine a turn
//
// The times are of the processor, so that what else the machine does is not in them. The exit status is 2 if the command was
// asked for something it can't do; figures that miss their floors are marked, no more.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// goroutines read at once.
const goroutines = 2

// Keys 0 to held-1 are held by everybody, asked are asked for in all.
const (
	held  = 128
	asked = 512
)

func run(args []string, out, stderr io.Writer) int {
	f := flag.NewFlagSet("near", flag.ContinueOnError)
	f.SetOutput(stderr)
	rounds := f.Int("rounds", 25, "turns of everybody")
	ops := f.Int("ops", 2_000_000, "operations of each goroutine a turn")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if *rounds < 1 || *ops < 1 || f.NArg() > 0 {
		fmt.Fprintln(stderr, "near: want at least one round and one operation, and no arguments")
		return 2
	}
	players, err := players()
	if err != nil {
		fmt.Fprintln(stderr, "near:", err)
		return 2
	}
	took := make([][2][]float64, len(players)) // ns, hits and misses
	var clock, loop []float64
	for range *rounds {
		loop = append(loop, timed(*ops, func(int) bool { return true }))
		base := time.Now()
		clock = append(clock, timed(*ops, func(int) bool { return time.Since(base) >= 0 }))
		for p := range players {
			took[p][0] = append(took[p][0], timed(*ops, func(i int) bool { return players[p].get(i & (held - 1)) }))
			took[p][1] = append(took[p][1], timed(*ops, func(i int) bool { return !players[p].get(held + i&255) }))
		}
	}
	idle := median(loop)
	c := median(clock) - idle
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%d goroutines, ns of CPU an operation, median of %d rounds\thit\tfloor\tmiss\tfloor\n", goroutines, *rounds)
	fmt.Fprintf(t, "clock, one monotonic read\t%.1f\n", c)
	for p := range players {
		hit, miss := median(took[p][0])-idle, median(took[p][1])-idle
		if p > 0 {
			fmt.Fprintf(t, "%s\t%.1f\t\t%.1f\n", players[p].name, hit, miss)
			continue
		}
		fmt.Fprintf(t, "%s\t%.1f = clock + %.1f\tclock + 20 %s\t%.1f\t10 %s\n", players[p].name, hit, hit-c, verdict(hit-c, 20), miss, verdict(miss, 10))
	}
	t.Flush()
	return 0
}

func verdict(figure, floor float64) string {
	if figure > floor {
		return "MISSED"
	}
	return "met"
}

// timed is the processor time of one operation. A false answer is one too many: the caches were filled before.
func timed(ops int, op func(i int) bool) float64 {
	began := cputime.Self()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range ops {
				if !op(i + g*37) {
					panic("near: a cache has lost a key or found one it never had")
				}
			}
		})
	}
	wg.Wait()
	return float64((cputime.Self() - began).Nanoseconds()) / float64(ops*goroutines)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
