package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/measure"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// view is what report.html shows.
type view struct {
	Title, Made string
	Verdict     []string
	Bad         bool
	Plots       []plotView
	Table       string
}

type plotView struct {
	Title, Note string
	SVG         template.HTML // made by svg.go, which escapes every text
	Wide        bool
}

// HTML returns a page with the plots of a run and, side by side, of its parts: one document without scripts or
// outside resources. A run without phases is its own only part.
func HTML(title string, res Result, made time.Time) ([]byte, error) {
	parts := res.Phases
	if len(parts) == 0 {
		parts = []Result{res}
	}
	v := view{Title: title, Made: made.UTC().Format("2006-01-02 15:04 UTC"), Bad: !res.Ok()}
	v.Verdict = append(v.Verdict,
		fmt.Sprintf("%s operations, %s a second", Count(res.Ops), Count(int64(res.OpsPerS))),
		fmt.Sprintf("%s errors reached callers", Count(res.Errors)),
		fmt.Sprintf("%s wrong values in %s reads", Count(res.Wrong), Count(res.Reads)),
		fmt.Sprintf("seed %d", res.Seed))
	v.Verdict = append(v.Verdict, res.Notes...)
	if r := res.Recovery; r != nil {
		v.Verdict = append(v.Verdict, fmt.Sprintf("lowest after the kill: %.0f %% of %s op/s", 100*r.LowestShare, Count(int64(r.SteadyOpsPerS))))
	}
	if svg, ok := throughput(parts); ok {
		v.Plots = append(v.Plots, plotView{"Throughput, operations a second", "Each point is 100 ms. Broken lines begin a part, red ones are faults and other events.", svg, true})
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
	if hot := hottest(parts); len(hot.HotKeys) > 0 {
		v.Plots = append(v.Plots, hotPlot(hot))
	}
	var table bytes.Buffer
	columns := parts
	if len(res.Phases) > 0 {
		columns = append(slices.Clone(parts), res)
	}
	Table(&table, columns...)
	v.Table = table.String()
	var out bytes.Buffer
	err := reportTemplate.Execute(&out, v)
	return out.Bytes(), err
}

func perSecond(n int64, r Result) float64 {
	if r.DurationS <= 0 {
		return 0
	}
	return float64(n) / r.DurationS
}

// hottest is the part whose hottest key had the greatest share.
func hottest(parts []Result) (best Result) {
	top := -1.0
	for _, r := range parts {
		if len(r.HotKeys) > 0 && r.HotKeys[0].Share > top {
			best, top = r, r.HotKeys[0].Share
		}
	}
	return best
}

// throughput is the curve of all parts one after the other.
func throughput(parts []Result) (template.HTML, bool) {
	var c curve
	perSlice := float64(time.Second / measure.Slice)
	for _, r := range parts {
		n := len(r.Slices)
		if n > 1 {
			n-- // the last is cut short by the end
		}
		c.marks = append(c.marks, mark{at: len(c.points), text: r.Name})
		if r.EventS > 0 {
			c.marks = append(c.marks, mark{at: len(c.points) + int(r.EventS*perSlice), event: true})
		}
		for _, ops := range r.Slices[:n] {
			c.points = append(c.points, float64(ops)*perSlice)
		}
	}
	if len(c.points) < 2 {
		return "", false
	}
	return c.svg(1/perSlice, c.points), true
}

// WriteHTML writes HTML to path, whole or not at all.
func WriteHTML(path, title string, res Result, made time.Time) error {
	page, err := HTML(title, res, made)
	if err != nil {
		return err
	}
	return writeWhole(path, page)
}
