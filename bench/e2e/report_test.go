package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/versus"
)

// TestReport: the page of a run shows its plots from a file, in a window and on a phone, and nothing is complained of.
func TestReport(t *testing.T) {
	all := report.Result{Name: "all", Ops: 9000, Reads: 8000, Seed: 1, DurationS: 30}
	for i := range 3 {
		p := report.Result{Name: fmt.Sprint("part ", i+1), Ops: 3000, Reads: 2500, NearHits: int64(900 * i), NodeHits: 500, Misses: 200, Loads: 100, DurationS: 10,
			Latency: measure.Latency{P50: 30, P99: 700, P999: 3000, Max: 20000}, NodeOps: map[string]int64{"node1": 50, "node2": int64(60 * i)},
			HotKeys: []report.HotKey{{Key: "row:1", Share: .2}, {Key: "row:2", Share: .1}}, EventS: float64(2 * i), Event: "busiest node killed"}
		for j := range 100 {
			p.Slices = append(p.Slices, uint32(20+j%17*i))
		}
		for j := range 20 {
			p.Over = append(p.Over, report.Point{FromS: float64(j) / 2, ForS: .5, Latency: measure.Latency{P50: 30, P99: float64(400 + 30*j), Max: 20000}})
		}
		p.Staleness = report.StaleBuckets(make([]int64, 9), []int64{90, 50, 20, 9, 8, 7, 6, int64(5 * i), 0})
		p.Derive()
		all.Phases = append(all.Phases, p)
	}
	all.Derive()
	path := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, report.WriteHTML(path, "a run", all, time.Now()))
	b := open(t)
	b.run(t, chromedp.Navigate("file://"+filepath.ToSlash(path)))
	require.Equal(t, 9, eval[int](t, b, `document.querySelectorAll("svg").length`))
	require.Equal(t, 4, eval[int](t, b, `document.querySelectorAll("line.event").length`))
	require.True(t, eval[bool](t, b, `[...document.querySelectorAll("svg")].every(s => s.getBoundingClientRect().width > 300 && s.getBoundingClientRect().height > 100)`))
	b.shoot(t, "report")
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	require.NoError(t, err)
	b.shoot(t, "report-dark")
	b.run(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	require.LessOrEqual(t, eval[float64](t, b, `document.documentElement.scrollWidth`), 390.0)
	require.True(t, eval[bool](t, b, `[...document.querySelectorAll("svg")].every(s => s.getBoundingClientRect().width >= 500)`), "letters stay legible; plots are scrolled")
	b.shoot(t, "report-phone")
	b.clean(t)
}

// TestComparison: the page of a comparison shows every client in every case, in a window and on a phone.
func TestComparison(t *testing.T) {
	var table contest.Result
	table.Title = "gets of 100 B"
	for _, g := range []int{1, 8, 64, 256, 1024} {
		for i, name := range []string{contest.Base, contest.Ours, contest.Noise, "grafana/gomemcache", "rueidis on redis"} {
			table.Rows = append(table.Rows, contest.Row{Score: versus.Score{Name: name, Goroutines: g, OpsPerS: float64(20_000 * g / (i + 1)), P99: float64(30 * g), ClientCPU: 3, Ratio: versus.Spread{Mid: float64(i + 1)}}, Size: 100})
		}
	}
	path := filepath.Join(t.TempDir(), "compare.html")
	require.NoError(t, contest.Page("clients", []string{"9 rounds"}, []contest.Result{table}, time.Now()).Write(path))
	b := open(t)
	b.run(t, chromedp.Navigate("file://"+filepath.ToSlash(path)))
	require.Equal(t, 4*5*5, eval[int](t, b, `document.querySelectorAll("svg rect").length`))
	b.shoot(t, "compare")
	b.run(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	require.LessOrEqual(t, eval[float64](t, b, `document.documentElement.scrollWidth`), 390.0)
	b.clean(t)
}
