package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Table writes results side by side, one column each, with a title on top. The demo's
// six fit a terminal of 80 columns.
func Table(w io.Writer, results ...Result) {
	var rows [][]string
	row := func(name string, f func(r Result) string) {
		cells := []string{name}
		for _, r := range results {
			cells = append(cells, f(r))
		}
		rows = append(rows, cells)
	}
	// A title of two words stands on two lines, when columns stand side by side.
	first := func(name string) int {
		if len(results) == 1 {
			return 0
		}
		return strings.LastIndexByte(name, ' ') + 1
	}
	if slices.ContainsFunc(results, func(r Result) bool { return first(r.Name) > 0 }) {
		row("", func(r Result) string { return strings.TrimSpace(r.Name[:first(r.Name)]) })
	}
	row("", func(r Result) string { return r.Name[first(r.Name):] })
	row("operations", func(r Result) string { return Count(r.Ops) })
	row("  of them writes", func(r Result) string { return Count(r.Writes) })
	row("seconds", func(r Result) string { return fmt.Sprintf("%.1f", r.DurationS) })
	row("throughput, op/s", func(r Result) string { return Count(int64(r.OpsPerS)) })
	row("latency p50", func(r Result) string { return micros(r.Latency.P50) })
	row("        p99", func(r Result) string { return micros(r.Latency.P99) })
	row("        p99.9", func(r Result) string { return micros(r.Latency.P999) })
	row("        max", func(r Result) string { return micros(r.Latency.Max) })
	row("from near-cache", func(r Result) string { return percent(r.NearHits, r.Hits+r.Misses) })
	row("     node", func(r Result) string { return percent(r.NodeHits, r.Hits+r.Misses) })
	row("     origin", func(r Result) string { return percent(r.Misses, r.Hits+r.Misses) })
	row("origin loads", func(r Result) string { return Count(r.Loads) })
	row("       writes", func(r Result) string { return Count(r.Stores) })
	for _, n := range nodeNames(results) {
		row("requests to "+n, func(r Result) string { return Count(r.NodeOps[n]) })
	}
	row("node load max/mean", func(r Result) string { return fmt.Sprintf("%.2f", r.NodeMaxOverMean) })
	row("failovers", func(r Result) string { return Count(r.Failovers) })
	row("hot keys found", func(r Result) string { return Count(int64(len(r.HotKeys))) })
	row("errors to callers", func(r Result) string { return Count(r.Errors) })
	row("wrong values", func(r Result) string { return Count(r.Wrong) })
	Align(w, rows)

	for _, r := range results {
		for _, e := range r.FirstErrors {
			fmt.Fprintf(w, "error (%s): %s\n", r.Name, e)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(w, "note (%s): %s\n", r.Name, n)
		}
	}
}

// HotKeys writes the hottest keys behind a title, on as many lines as it takes.
func HotKeys(w io.Writer, title string, keys []HotKey, top int) {
	if len(keys) == 0 {
		fmt.Fprintf(w, "%s: none\n", title)
		return
	}
	line := title + ":"
	for i, k := range keys[:min(top, len(keys))] {
		word := fmt.Sprintf(" %s (%.1f %%)", k.Key, 100*k.Share)
		if i > 0 {
			line += ","
			if utf8.RuneCountInString(line+word) > 79 {
				fmt.Fprintln(w, line)
				line = " "
			}
		}
		line += word
	}
	fmt.Fprintln(w, line)
}

func nodeNames(results []Result) []string {
	all := map[string]bool{}
	for _, r := range results {
		for n := range r.NodeOps {
			all[n] = true
		}
	}
	names := slices.Collect(maps.Keys(all))
	// node2 before node10: shorter first among names that begin alike.
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

// Align writes rows as columns: the first to the left, the others to the right.
func Align(w io.Writer, rows [][]string) {
	var width []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i == 0 {
				b.WriteString(c + pad)
			} else {
				b.WriteString("  " + pad + c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// Count writes a number with its thousands apart.
func Count(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func micros(us float64) string {
	d := time.Duration(us * 1000)
	switch {
	case d == 0:
		return "-"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return digits(us) + " µs"
	case d < time.Second:
		return digits(us/1e3) + " ms"
	}
	return digits(us/1e6) + " s"
}

// digits writes a number with the three digits that a histogram knows.
func digits(x float64) string {
	switch {
	case x < 9.995:
		return fmt.Sprintf("%.2f", x)
	case x < 99.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func percent(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(part)/float64(whole))
}
