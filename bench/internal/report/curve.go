package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// spot is a point of a curve: v at that many seconds.
type spot struct{ at, v float64 }

// line is one curve of a plot. Its name is shown unless it is empty.
type line struct {
	name   string
	points []spot
}

// mark is a line across a curve, at that many seconds.
type mark struct {
	at    float64
	text  string
	event bool
}

// curve is a plot over time, from 0 to until seconds.
type curve struct {
	lines []line
	marks []mark
	until float64
	log   bool
}

// shown is how many points a line may have: more than a screen shows make the page heavy.
const shown = 1500

// thin leaves the greatest of every few points: peaks are what is looked for.
func thin(points []spot) []spot {
	n := (len(points) + shown - 1) / shown
	if n <= 1 {
		return points
	}
	var out []spot
	for i := 0; i < len(points); i += n {
		best := points[i]
		for _, p := range points[i:min(i+n, len(points))] {
			if p.v > best.v {
				best = p
			}
		}
		out = append(out, best)
	}
	return out
}

// svg draws the curves, and the legend if they have names.
func (c curve) svg() (plot, names template.HTML) {
	most, named := 0.0, []string(nil)
	for _, l := range c.lines {
		for _, p := range l.points {
			most = max(most, p.v)
		}
		if l.name != "" {
			named = append(named, l.name)
		}
	}
	a, b := newAxis(most, c.log), open(wideWidth)
	a.grid(b, wideWidth)
	until := math.Max(c.until, 1e-9)
	x := func(at float64) float64 { return left + (wideWidth-left)*math.Min(1, at/until) }
	last, row := math.Inf(-1), 0
	for _, m := range c.marks {
		if m.event {
			event(b, x(m.at), clip(m.text, 24))
			continue
		}
		// Two rows in turn, so that the names of short parts do not run into each other.
		if row = (row + 1) % 2; m.text == "" || x(m.at)-last > 7*float64(len(m.text)) {
			row = 0
		}
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f" class="part"/><text x="%.1f" y="%.0f">%s</text>`,
			x(m.at), x(m.at), above, plotHeight-below, x(m.at)+4, plotHeight-below+30+float64(11*row), html.EscapeString(clip(m.text, 24)))
		if m.text != "" {
			last = x(m.at)
		}
	}
	for i, l := range c.lines {
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.6" points="`, colours[i%len(colours)])
		for _, p := range thin(l.points) {
			fmt.Fprintf(b, "%.1f,%.1f ", x(p.at), a.y(p.v))
		}
		b.WriteString(`"/>`)
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f">0 s</text><text x="%.0f" y="%.0f" text-anchor="end">%.0f s</text>`,
		left, plotHeight-below+16, wideWidth, plotHeight-below+16, c.until)
	if len(named) > 0 {
		names = legend(named)
	}
	return closed(b), names
}

// event draws the line of an event at x, with what it was beside its upper end, on the side where there is room.
func event(b *strings.Builder, x float64, what string) {
	anchor, at := "start", x+4
	if at+7*float64(len(what)) > wideWidth {
		anchor, at = "end", x-4
	}
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f" class="event"/><text x="%.1f" y="%.0f" text-anchor="%s" class="event">%s</text>`,
		x, x, above, plotHeight-below, at, above-2, anchor, html.EscapeString(what))
}
