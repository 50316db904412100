package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/report"
)

// TestReport: the page of a run shows its plots from a file, in a window and on a phone, and nothing is complained of.
func TestReport(t *testing.T) {
	all := report.Result{Name: "all", Ops: 9000, Reads: 8000, Seed: 1, DurationS: 30}
	for i := range 3 {
		p := report.Result{Name: fmt.Sprint("part ", i+1), Ops: 3000, Reads: 2500, NearHits: int64(900 * i), NodeHits: 500, Misses: 200, Loads: 100, DurationS: 10,
			Latency: measure.Latency{P50: 30, P99: 700, P999: 3000, Max: 20000}, NodeOps: map[string]int64{"node1": 50, "node2": int64(60 * i)},
			HotKeys: []report.HotKey{{Key: "row:1", Share: .2}, {Key: "row:2", Share: .1}}, EventS: float64(2 * i)}
		for j := range 100 {
			p.Slices = append(p.Slices, uint32(20+j%17*i))
		}
		p.Derive()
		all.Phases = append(all.Phases, p)
	}
	all.Derive()
	path := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, report.WriteHTML(path, "a run", all, time.Now()))
	b := open(t)
	b.run(t, chromedp.Navigate("file://"+filepath.ToSlash(path)))
	require.Equal(t, 7, eval[int](t, b, `document.querySelectorAll("svg").length`))
	require.Equal(t, 2, eval[int](t, b, `document.querySelectorAll("line.event").length`))
	require.True(t, eval[bool](t, b, `[...document.querySelectorAll("svg")].every(s => s.getBoundingClientRect().width > 300 && s.getBoundingClientRect().height > 100)`))
	b.shoot(t, "report")
	b.run(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	require.LessOrEqual(t, eval[float64](t, b, `document.documentElement.scrollWidth`), 390.0)
	b.clean(t)
}
