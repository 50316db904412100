package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/bench/internal/measure"
)

func htmlResult() Result {
	r := Result{Name: "all", Seed: 7, Ops: 1000, Reads: 900, NearHits: 500, NodeHits: 300, Misses: 100, DurationS: 2, Loads: 100,
		Latency: measure.Latency{P50: 20, P99: 900, P999: 2000, Max: 30000}}
	r.Derive()
	for i, name := range []string{"steady", `<script>alert("x")</script>`} {
		p := r
		p.Name, p.NodeOps = name, map[string]int64{"node1": 10, "<b>node2": 20}
		p.HotKeys = []HotKey{{`<img src="x">`, .2}, {strings.Repeat("k", 100), .1}}
		for j := range 20 {
			p.Slices = append(p.Slices, uint32(10*i+j))
		}
		for j := range 4 {
			p.Over = append(p.Over, Point{FromS: float64(j) / 2, ForS: .5, Latency: measure.Latency{P50: 20, P99: float64(100 * j), Max: 9000}})
		}
		p.Staleness = []StaleBucket{{0, 1, 3}, {1, 0, int64(i)}}
		p.EventS, p.Event = float64(i), "it <happens>"
		p.Derive()
		r.Phases = append(r.Phases, p)
	}
	return r
}

// TestHTML: every plot is there and is well-formed, whatever the names are; nothing comes from outside.
func TestHTML(t *testing.T) {
	page, err := HTML("a <title>", htmlResult(), time.Unix(0, 0))
	require.NoError(t, err)
	text := string(page)
	require.Less(t, len(text), 2<<20)
	for _, bad := range []string{"<script", "<img", "<b>", "http://", "https://", "<title>a <"} {
		require.NotContains(t, text, bad)
	}
	for _, want := range []string{"1970-01-01", "Throughput", "Latency over time", "Latency", "Staleness", "≥1 ms", "Load per node", "What answered", "Origin", "Trouble", "Hot keys", "All figures", `class="event">it &lt;happens&gt;</text>`, "20.00 %"} {
		require.Contains(t, text, want)
	}
	plots := strings.Split(text, "<svg ")[1:]
	require.Len(t, plots, 9)
	for _, p := range plots {
		svg, _, found := strings.Cut("<svg "+p, "</svg>")
		require.True(t, found)
		dec := xml.NewDecoder(strings.NewReader(svg + "</svg>"))
		for {
			_, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.NotContains(t, svg, "NaN")
		require.NotContains(t, svg, "Inf")
	}
}

// TestHTMLOfNothing: a run that was stopped at once still has a page.
func TestHTMLOfNothing(t *testing.T) {
	page, err := HTML("nothing", Result{Name: "all", Errors: 1}, time.Now())
	require.NoError(t, err)
	require.NotContains(t, string(page), "NaN")
	require.Contains(t, string(page), `class="bad"`)
}

// TestAxis: every value is inside of the plot, and a larger one is never lower.
func TestAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Float64Range(0, 1e12).Draw(t, "most")
		a := newAxis(most, rapid.Bool().Draw(t, "log"))
		v := rapid.Float64Range(0, 1).Draw(t, "share") * most
		if y := a.y(v); y < above-.001 || y > plotHeight-below+.001 || a.y(most) > y+.001 {
			t.Fatalf("%v of %v is at %v", v, most, y)
		}
	})
}

func TestWriteHTML(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.html")
	require.NoError(t, CheckPath("-html", path))
	require.NoError(t, WriteHTML(path, "demo", htmlResult(), time.Now()))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(b), "<title>demo</title>")
	err = CheckPath("-html", filepath.Dir(path))
	require.ErrorContains(t, err, fmt.Sprint("-html ", filepath.Dir(path)))
}

// TestLongRunsMakeLightPages: the page of a day's run stays below 2 MB, and its highest point is still in it.
func TestLongRunsMakeLightPages(t *testing.T) {
	r := Result{Name: "day", DurationS: 86_400}
	for i := range 864_000 {
		r.Slices = append(r.Slices, uint32(i%1000))
	}
	for i := range 1024 {
		r.Over = append(r.Over, Point{FromS: float64(i) * 84, ForS: 84, Latency: measure.Latency{P50: 10, P99: 100, Max: 1000}})
	}
	page, err := HTML("a day", r, time.Now())
	require.NoError(t, err)
	require.Less(t, len(page), 2<<20)
	points := make([]spot, 10*shown)
	points[777].v = 5
	best := thin(points)
	require.LessOrEqual(t, len(best), shown)
	require.Contains(t, best, points[777])
}

// TestNothingToPlot: a plot of zeros says so.
func TestNothingToPlot(t *testing.T) {
	require.Contains(t, Bars("t", "", false, []string{"a"}, []string{"x"}, [][]float64{{0}}).SVG, ">none<")
	require.NotContains(t, Bars("t", "", false, []string{"a"}, []string{"x"}, [][]float64{{1}}).SVG, ">none<")
}

// TestEventsAreNamedInside: what happened near the end of a run is told before its line, where there is room.
func TestEventsAreNamedInside(t *testing.T) {
	for at, anchor := range map[float64]string{1: "start", 9.9: "end"} {
		svg, _ := curve{lines: []line{{"", []spot{{0, 1}, {10, 2}}}}, marks: []mark{{at: at, text: "node killed", event: true}}, until: 10}.svg()
		require.Contains(t, string(svg), `text-anchor="`+anchor+`" class="event">node killed</text>`)
	}
}

// TestHotKeysAreOfTheStorm: the plot is of the part in which the storm's key was hottest, though another's hottest key had more.
func TestHotKeysAreOfTheStorm(t *testing.T) {
	calm := Result{Name: "calm", HotKeys: []HotKey{{Key: "a", Share: .3}}}
	storm := Result{Name: "storm", HotKeys: []HotKey{{Key: "a", Share: .2}, {Key: "b", Share: .15}}}
	after := Result{Name: "after", HotKeys: []HotKey{{Key: "a", Share: .2}, {Key: "b", Share: .01}}}
	parts := []Result{calm, storm, after}
	require.Equal(t, "storm", hottest(parts, &Storm{Key: "b"}).Name)
	require.Equal(t, "calm", hottest(parts, nil).Name)
	require.Equal(t, "calm", hottest(parts, &Storm{Key: "never found"}).Name)
}
