package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/nodeserver/stock"
)

// nodes is how many memcacheds all share.
const nodes = 3

// column is a figure that memherd is to be best in.
type column struct {
	name string
	of   func(figures) float64
	less bool // less is better
}

var columns = []column{
	{"origin loads", func(f figures) float64 { return f.Loads }, true},
	{"p99", func(f figures) float64 { return f.P99 }, true},
	{"operations a second", func(f figures) float64 { return f.OpsPerS }, false},
}

// better is how many times as good a is as b.
func (c column) better(a, b figures) float64 {
	if c.less {
		return c.of(b) / c.of(a)
	}
	return c.of(a) / c.of(b)
}

// line is what came of one player.
type line struct {
	Name string `json:"name"`
	figures
	// With is the memherd that it is compared with, Ours how many times as good that is, by
	// column: medians of the rounds' ratios.
	With     string                    `json:"with,omitempty"`
	Ours     map[string]versus.Spread  `json:"memherd_ratio,omitempty"`
	Verdicts map[string]versus.Verdict `json:"verdicts,omitempty"`
}

type results struct {
	Memcached string `json:"memcached"`
	Requests  int    `json:"requests"`
	Keys      int    `json:"keys"`
	Rounds    int    `json:"rounds"`
	Lines     []line `json:"lines"`
}

// compare plays all rounds and prints the table.
func compare(ctx context.Context, o options, t *trace.Trace, stdout, stderr io.Writer) (err error) {
	res := results{Requests: len(t.Reqs), Keys: len(t.Keys), Rounds: o.rounds}
	path, err := stock.Find()
	if err == nil {
		res.Memcached, err = stock.Version(path)
	}
	if err != nil {
		return err
	}
	var servers []string
	var pids []int
	for range nodes {
		// Clients without pipelines want a connection for each worker.
		m, err := stock.Start(stock.Config{MemoryMB: 1024, Args: []string{"-c", "16384"}})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Kill()) }()
		servers, pids = append(servers, m.Addr()), append(pids, m.Pid())
	}
	fmt.Fprintf(stdout, "%d requests of %d keys from %s; %d processes with %d workers each, a load takes %v; %d memcached %s, empty at first; %d rounds\n\n",
		res.Requests, res.Keys, o.trace, o.processes, o.workers, o.takes, nodes, res.Memcached, o.rounds)
	all := players()
	busy := cputime.Reader(pids...)
	if busy == nil { // what this system does not tell counts as nothing
		busy = func() (time.Duration, error) { return 0, nil }
	}
	turns := make([][]figures, len(all))
	bar := progress.New(stderr, int64(o.rounds*len(all)))
	defer bar.Close()
	bar.Step("comparing")
	for round := range o.rounds {
		for k := range all {
			i := (k + round) % len(all)
			bar.Set(int64(round*len(all)+k), all[i].name)
			f, err := turn(ctx, o, all[i], servers, busy, t, fmt.Sprintf("%d.%d:", round, i))
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			turns[i] = append(turns[i], f)
		}
	}
	res.Lines = judge(all, turns)
	print(stdout, res)
	if o.json != "" {
		return report.WriteJSON(o.json, stdout, res)
	}
	return nil
}

// judge makes the lines of players' turns. The second player is the first again. A memherd is not
// judged: what it is to be better than is others.
func judge(all []player, turns [][]figures) (out []line) {
	noise := map[string]versus.Spread{}
	for i, p := range all {
		l := line{Name: p.name, figures: middle(turns[i])}
		with := max(0, slices.IndexFunc(all, func(m player) bool { return m.name == p.with }))
		if i > 0 {
			l.With, l.Ours = all[with].name, map[string]versus.Spread{}
		}
		if i > 1 && p.name != holding {
			l.Verdicts = map[string]versus.Verdict{}
		}
		for _, c := range columns {
			if i == 0 {
				continue
			}
			var ratios []float64
			for round := range turns[i] {
				ratios = append(ratios, c.better(turns[with][round], turns[i][round]))
			}
			s := versus.Spread{Mid: median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios)}
			l.Ours[c.name] = s
			if i == 1 {
				// The two are alike, so their ratio may be either way round.
				noise[c.name] = versus.Spread{Mid: 1, Min: min(s.Min, 1/s.Max), Max: max(s.Max, 1/s.Min)}
				continue
			}
			if l.Verdicts == nil {
				continue
			}
			l.Verdicts[c.name] = versus.Bound{Floor: 1}.Judge(s, noise[c.name])
		}
		out = append(out, l)
	}
	return out
}

func middle(turns []figures) figures {
	column := func(of func(figures) float64) float64 {
		var v []float64
		for _, f := range turns {
			v = append(v, of(f))
		}
		return median(v)
	}
	return figures{
		Loads: column(func(f figures) float64 { return f.Loads }), P50: column(func(f figures) float64 { return f.P50 }),
		P99: column(func(f figures) float64 { return f.P99 }), OpsPerS: column(func(f figures) float64 { return f.OpsPerS }),
		CPU: column(func(f figures) float64 { return f.CPU }),
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func print(w io.Writer, res results) {
	rows := [][]string{{"", "origin loads", "p50 µs", "p99 µs", "operations/s", "CPU µs/op"}}
	for _, c := range columns {
		rows[0] = append(rows[0], "memherd ×, "+c.name, "")
	}
	judged, held := 0, 0
	for _, l := range res.Lines {
		row := []string{l.Name, report.Count(int64(l.Loads)), fmt.Sprintf("%.0f", l.P50), fmt.Sprintf("%.0f", l.P99), report.Count(int64(l.OpsPerS)), fmt.Sprintf("%.1f", l.CPU)}
		for _, c := range columns {
			if l.Ours == nil {
				row = append(row, "", "")
				continue
			}
			v := l.Verdicts[c.name]
			if v != versus.None {
				judged++
			}
			if v.Holds() {
				held++
			}
			row = append(row, fmt.Sprintf("%.2f", l.Ours[c.name].Mid), string(v))
		}
		rows = append(rows, row)
	}
	report.Align(w, rows)
	fmt.Fprintf(w, "\nmemherd ×: how many times as good memherd is, the median of the rounds' ratios; %q is the noise. sturdyc, which serves from memory without asking\n"+
		"until the TTL, is compared with %q, which does so, too; the others with memherd as it is, which asks every 50 ms.\n%d of %d comparisons are held.\n", again, holding, held, judged)
}
