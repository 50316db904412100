package contest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/report"
)

// Page shows tables as plots, all who played side by side, and as text behind them.
func Page(title string, notes []string, tables []Result, made time.Time) report.Page {
	p := report.Page{Title: title, Made: made, Verdict: notes}
	var text bytes.Buffer
	for _, t := range tables {
		p.Plots = append(p.Plots,
			t.plot("Operations a second, times "+Base+"'s", "Median of the rounds. More is better.", false, func(r Row) float64 { return r.Ratio.Mid }),
			t.plot("Operations a second", "On a logarithmic scale. More is better.", true, func(r Row) float64 { return r.OpsPerS }),
			t.plot("99 % are faster than", "Microseconds on a logarithmic scale. Less is better.", true, func(r Row) float64 { return r.P99 }),
			t.plot("Client CPU an operation", "Microseconds, user and system together. Less is better.", false, func(r Row) float64 { return r.ClientCPU }))
		t.Print(&text)
	}
	Legend(&text)
	p.Table = text.String()
	return p
}

// plot draws one figure of each row: a group for each case, a bar for each player.
func (r *Result) plot(what, note string, log bool, figure func(Row) float64) report.Plot {
	var groups, names []string
	var values [][]float64
	for _, row := range r.Rows {
		group := strconv.Itoa(row.Goroutines)
		if row.Size != r.Rows[0].Size || slices.ContainsFunc(r.Rows, func(o Row) bool { return o.Size != row.Size }) {
			group = fmt.Sprintf("%d B", row.Size)
		}
		g := slices.Index(groups, group)
		if g < 0 {
			g = len(groups)
			groups, values = append(groups, group), append(values, make([]float64, len(names)))
		}
		n := slices.Index(names, row.Name)
		if n < 0 {
			n = len(names)
			names = append(names, row.Name)
		}
		for len(values[g]) <= n {
			values[g] = append(values[g], 0)
		}
		values[g][n] = figure(row)
	}
	for g := range values {
		for len(values[g]) < len(names) {
			values[g] = append(values[g], 0)
		}
	}
	kind := "by number of goroutines"
	if len(groups) > 0 && groups[0] != strconv.Itoa(r.Rows[0].Goroutines) {
		kind = "by size of the values"
	}
	// The title of the table is long, and the same over four plots: it says in small what the heading is about.
	return report.Bars(what, strings.TrimSuffix(r.Title, ".")+". "+note+" In groups "+kind+".", log, groups, names, values)
}
