package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// The size of a plot, in its own units, and the margins left and below.
const (
	plotWidth, wideWidth = 560.0, 1140.0
	plotHeight           = 260.0
	left, below, above   = 54.0, 44.0, 12.0
)

var colours = []string{"#2e7de9", "#1a9a5b", "#d98a00", "#7a5af8", "#0aa2c0", "#d6409f", "#8a6d3b", "#5c6b7f"}

// axis maps 0 to top, or with log 1 to top, to the height of a plot.
type axis struct {
	top float64
	log bool
}

// newAxis has room for every value, up to a round number.
func newAxis(most float64, log bool) axis {
	if most <= 0 {
		most = 1
	}
	p := math.Pow(10, math.Floor(math.Log10(most)))
	if log {
		return axis{max(10, p*10), true}
	}
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*p >= most {
			return axis{m * p, false}
		}
	}
	return axis{10 * p, false}
}

func (a axis) y(v float64) float64 {
	share := v / a.top
	if a.log {
		share = math.Log10(max(1, v)) / math.Log10(a.top)
	}
	return plotHeight - below - share*(plotHeight-below-above)
}

// grid draws the axis and its numbers.
func (a axis) grid(b *strings.Builder, width float64) {
	ticks := []float64{0, a.top / 2, a.top}
	if a.log {
		ticks = nil
		for v := 1.0; v <= a.top; v *= 10 {
			ticks = append(ticks, v)
		}
	}
	for _, v := range ticks {
		fmt.Fprintf(b, `<line x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f" class="grid"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`,
			left, width, a.y(v), a.y(v), left-6, a.y(v)+4, short(v))
	}
}

// short is a number in few letters.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}

func open(width float64) *strings.Builder {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img">`, width, plotHeight)
	return &b
}

func closed(b *strings.Builder) template.HTML { return template.HTML(b.String() + "</svg>") }

// bars draws, for each part, one bar for each name.
func bars(title, note string, parts []Result, log bool, names []string, values func(r Result) []float64) Plot {
	var groups []string
	var all [][]float64
	for _, r := range parts {
		groups, all = append(groups, r.Name), append(all, values(r))
	}
	return Bars(title, note, log, groups, names, all)
}

// Bars draws, for each group, one bar for each name; values are by group and name. log draws on a logarithmic scale
// from 1.
func Bars(title, note string, log bool, groups, names []string, values [][]float64) Plot {
	most := 0.0
	for _, vs := range values {
		for _, v := range vs {
			most = max(most, v)
		}
	}
	a, b := newAxis(most, log), open(plotWidth)
	a.grid(b, plotWidth)
	if most == 0 {
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle">none</text>`, (plotWidth+left)/2, plotHeight/2)
	}
	group := (plotWidth - left) / float64(max(1, len(groups)))
	for i, name := range groups {
		from := left + float64(i)*group
		w := group * .8 / float64(max(1, len(names)))
		for j, v := range values[i] {
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s, %s: %s</title></rect>`,
				from+group*.1+float64(j)*w, a.y(v), max(1, w-1), max(0, plotHeight-below-a.y(v)), colours[j%len(colours)], html.EscapeString(name), html.EscapeString(names[j]), short(v))
		}
		// About six units a letter: what is longer would run into its neighbour.
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`, from+group/2, plotHeight-below+16, html.EscapeString(clip(name, max(3, int(group/6)))))
	}
	return Plot{Title: title, Note: note, SVG: closed(b), Legend: legend(names)}
}

func legend(names []string) template.HTML {
	var b strings.Builder
	b.WriteString(`<div class="legend">`)
	for i, n := range names {
		fmt.Fprintf(&b, `<span><i style="background:%s"></i>%s</span>`, colours[i%len(colours)], html.EscapeString(n))
	}
	b.WriteString(`</div>`)
	return template.HTML(b.String())
}

// hotPlot draws the hottest keys of one part.
func hotPlot(r Result) Plot {
	b := open(plotWidth)
	keys := r.HotKeys[:min(10, len(r.HotKeys))]
	row := (plotHeight - 10) / 10
	for i, k := range keys {
		y := 5 + float64(i)*row
		w := 360 * k.Share / keys[0].Share
		fmt.Fprintf(b, `<text x="118" y="%.1f" text-anchor="end">%s</text><rect x="126" y="%.1f" width="%.1f" height="%.1f" fill="%s"/><text x="%.1f" y="%.1f">%.2f %%</text>`,
			y+row*.65, html.EscapeString(clip(k.Key, 18)), y+row*.15, w, row*.7, colours[3], 132+w, y+row*.65, 100*k.Share)
	}
	return Plot{Title: "Hot keys", Note: "Share of all requests, as the detector sees it at the end of: " + r.Name + ".", SVG: closed(b)}
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
