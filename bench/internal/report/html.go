package report

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/measure"
)

// HTML returns a page with the plots of a run and, side by side, of its parts: one document without scripts or
// outside resources. A run without phases is its own only part.
func HTML(title string, res Result, made time.Time) ([]byte, error) {
	parts := res.Phases
	if len(parts) == 0 {
		parts = []Result{res}
	}
	v := Page{Title: title, Made: made, Bad: !res.Ok()}
	v.Verdict = append(v.Verdict,
		fmt.Sprintf("%s operations, %s a second", Count(res.Ops), Count(int64(res.OpsPerS))),
		fmt.Sprintf("%s errors reached callers", Count(res.Errors)),
		fmt.Sprintf("%s wrong values in %s reads", Count(res.Wrong), Count(res.Reads)),
		fmt.Sprintf("seed %d", res.Seed))
	v.Verdict = append(v.Verdict, res.Notes...)
	if r := res.Recovery; r != nil {
		v.Verdict = append(v.Verdict, fmt.Sprintf("lowest after the kill: %.0f %% of %s op/s", 100*r.LowestShare, Count(int64(r.SteadyOpsPerS))))
	}
	for _, c := range []struct {
		title, note string
		curve       curve
	}{
		{"Throughput, operations a second", "Each point is 100 ms. Broken lines begin a part, red ones are faults and other events.", throughput(parts)},
		{"Latency over time", "Microseconds on a logarithmic scale, half a second at a time or more in long runs.", latencies(parts)},
	} {
		if len(c.curve.lines[0].points) > 1 {
			svg, names := c.curve.svg()
			v.Plots = append(v.Plots, Plot{Title: c.title, Note: c.note, SVG: svg, Legend: names, Wide: true})
		}
	}
	v.Plots = append(v.Plots, bars("Latency", "Microseconds on a logarithmic scale.", parts, true, []string{"median", "99 %", "99.9 %", "longest"}, func(r Result) []float64 {
		l := r.Latency
		return []float64{float64(l.P50), float64(l.P99), float64(l.P999), float64(l.Max)}
	}))
	nodes := nodeNames(parts)
	v.Plots = append(v.Plots, bars("Load per node", "Requests a second to each node.", parts, false, nodes, func(r Result) (vs []float64) {
		for _, n := range nodes {
			vs = append(vs, perSecond(r.NodeOps[n], r))
		}
		return vs
	}))
	v.Plots = append(v.Plots, bars("What answered the reads", "Percent of all reads.", parts, false, []string{"near-cache", "nodes", "origin"}, func(r Result) []float64 {
		all := float64(max(1, r.Hits+r.Misses)) / 100
		return []float64{float64(r.NearHits) / all, float64(r.NodeHits) / all, float64(r.Misses) / all}
	}))
	v.Plots = append(v.Plots, bars("Origin", "Loads and writes a second.", parts, false, []string{"loads", "writes"}, func(r Result) []float64 {
		return []float64{perSecond(r.Loads, r), perSecond(r.Stores, r)}
	}))
	v.Plots = append(v.Plots, bars("Trouble", "In each part: reads that went to another copy, reads older than this process's newest write but within the bound, errors, wrong values.", parts, false,
		[]string{"failovers", "stale within the bound", "errors", "wrong"}, func(r Result) []float64 {
			return []float64{float64(r.Failovers), float64(r.Stale), float64(r.Errors), float64(r.Wrong)}
		}))
	if plot, ok := staleness(parts); ok {
		v.Plots = append(v.Plots, plot)
	}
	if hot := hottest(parts, res.Storm); len(hot.HotKeys) > 0 {
		v.Plots = append(v.Plots, hotPlot(hot))
	}
	var table bytes.Buffer
	columns := parts
	if len(res.Phases) > 0 {
		columns = append(slices.Clone(parts), res)
	}
	Table(&table, columns...)
	v.Table = table.String()
	return v.HTML()
}

// staleness is a histogram of the parts' stale reads, side by side; there is none if nobody counted.
func staleness(parts []Result) (Plot, bool) {
	var groups, names []string
	var values [][]float64
	for i, r := range parts {
		names = append(names, r.Name)
		for j, b := range r.Staleness {
			if j == len(groups) {
				groups, values = append(groups, b.name()), append(values, make([]float64, len(parts)))
			}
			values[j][i] = float64(b.Reads)
		}
	}
	return Bars("Staleness", "Reads older than this process's newest write, by how long before the read that write was acknowledged.", false, groups, names, values), len(groups) > 0
}

func perSecond(n int64, r Result) float64 {
	if r.DurationS <= 0 {
		return 0
	}
	return float64(n) / r.DurationS
}

// hottest is the part in which the key of a storm had the greatest share, or without one the hottest of all.
func hottest(parts []Result, storm *Storm) (best Result) {
	top := -1.0
	for _, r := range parts {
		for i, k := range r.HotKeys {
			if (storm == nil && i == 0 || storm != nil && k.Key == storm.Key) && k.Share > top {
				best, top = r, k.Share
			}
		}
	}
	if storm != nil && top < 0 {
		return hottest(parts, nil) // the storm's key was never found
	}
	return best
}

// throughput is the curve of all parts one after the other.
func throughput(parts []Result) curve {
	var points []spot
	at := 0.0
	for _, r := range parts {
		n := len(r.Slices)
		if n > 1 {
			n-- // the last is cut short by the end
		}
		for i, ops := range r.Slices[:n] {
			points = append(points, spot{at + float64(i)*measure.Slice.Seconds(), float64(ops) / measure.Slice.Seconds()})
		}
		at += r.lasted()
	}
	return curve{lines: []line{{"", points}}, marks: marksOf(parts), until: at}
}

// latencies are the curves of the latency, all parts one after the other.
func latencies(parts []Result) curve {
	lines := []line{{name: "median"}, {name: "99 %"}, {name: "longest"}}
	at := 0.0
	for _, r := range parts {
		for _, p := range r.Over {
			x := at + p.FromS + p.ForS/2
			for i, v := range []float64{p.Latency.P50, p.Latency.P99, p.Latency.Max} {
				lines[i].points = append(lines[i].points, spot{x, v})
			}
		}
		at += r.lasted()
	}
	return curve{lines: lines, marks: marksOf(parts), until: at, log: true}
}

// lasted is how long the part was, in seconds.
func (r *Result) lasted() float64 {
	return max(r.DurationS, float64(max(0, len(r.Slices)-1))*measure.Slice.Seconds())
}

// marksOf are the beginnings of the parts, and what happened in them.
func marksOf(parts []Result) (marks []mark) {
	at := 0.0
	for _, r := range parts {
		marks = append(marks, mark{at: at, text: r.Name})
		if r.EventS > 0 {
			marks = append(marks, mark{at: at + r.EventS, text: r.Event, event: true})
		}
		at += r.lasted()
	}
	return marks
}

// WriteHTML writes HTML to path, whole or not at all.
func WriteHTML(path, title string, res Result, made time.Time) error {
	page, err := HTML(title, res, made)
	if err != nil {
		return err
	}
	return WriteWhole(path, page)
}
