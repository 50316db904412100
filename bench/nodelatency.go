package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/memherd/memherd/bench/internal/nodebench"
	"github.com/memherd/memherd/bench/internal/versus"
)

// nodeLatency is what one server's clients saw at half of memcached's throughput, medians
// of the rounds.
type nodeLatency struct {
	Name string `json:"name"`
	nodebench.Latency
	// Ratio is P999 to memcached's in the same round: less is better.
	Ratio versus.Spread `json:"p999_ratio"`
}

// latency loads the servers in turns with half of what memcached bore.
func (c *nodeCmd) latency(e *env, servers []nodebench.Server, rows []nodeRow) ([]nodeLatency, error) {
	all := nodebench.Rows()
	row := all[0] // one operation at a time
	if len(rows) == 0 || rows[0].Row != row.Name {
		return nil, nil // nobody knows what half the load is
	}
	rate := rows[0].Scores[0].OpsPerS / 2
	took := make([][]nodebench.Latency, len(servers))
	for round := range c.Rounds {
		for k := range servers {
			i := (k + round) % len(servers)
			l, err := servers[i].AtRate(e.ctx, row, rate, c.Slot, c.Seed+uint64(round))
			if err != nil {
				return nil, fmt.Errorf("%s at %.0f/s: %w", servers[i].Name, rate, err)
			}
			took[i] = append(took[i], l)
		}
	}
	var out []nodeLatency
	for i, s := range servers {
		l := nodeLatency{Name: s.Name}
		column := func(f func(nodebench.Latency) float64) float64 {
			var v []float64
			for _, t := range took[i] {
				v = append(v, f(t))
			}
			return middle(v)
		}
		l.P50 = column(func(t nodebench.Latency) float64 { return t.P50 })
		l.P99 = column(func(t nodebench.Latency) float64 { return t.P99 })
		l.P999 = column(func(t nodebench.Latency) float64 { return t.P999 })
		l.OpsPerS = column(func(t nodebench.Latency) float64 { return t.OpsPerS })
		var ratios []float64
		for round, t := range took[i] {
			ratios = append(ratios, t.P999/took[0][round].P999)
		}
		l.Ratio = versus.Spread{Mid: middle(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios)}
		out = append(out, l)
	}
	return out, nil
}

// middle is the median of v, which has at least one.
func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func printNodeLatency(out io.Writer, list []nodeLatency) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(out, "half of memcached's load, each operation at its time:\n")
	for _, l := range list {
		fmt.Fprintf(out, "  %-34s %9.0f/s  p50 %.0f µs, p99 %.0f µs, p99.9 %.0f µs, %.2f (%.2f–%.2f) of memcached's\n",
			l.Name, l.OpsPerS, l.P50, l.P99, l.P999, l.Ratio.Mid, l.Ratio.Min, l.Ratio.Max)
	}
}
