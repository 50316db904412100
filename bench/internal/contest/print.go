package contest

import (
	"fmt"
	"io"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/versus"
)

// Print writes the table for people.
func (r *Result) Print(w io.Writer) {
	sizes := false
	for _, row := range r.Rows {
		sizes = sizes || row.Size != r.Rows[0].Size
	}
	head := []string{"client", "goroutines"}
	if sizes {
		head = append(head, "bytes")
	}
	rows := [][]string{append(head, "op/s", "p50", "p99", "ratio", "min", "max", "CPU", "server", "floor", "aim", "")}
	for _, row := range r.Rows {
		cells := []string{row.Name, fmt.Sprint(row.Goroutines)}
		if sizes {
			cells = append(cells, fmt.Sprint(row.Size))
		}
		rows = append(rows, append(cells, report.Count(int64(row.OpsPerS)),
			number("%.0f µs", row.P50), number("%.0f µs", row.P99),
			number("%.2f", row.Ratio.Mid), number("%.2f", row.Ratio.Min), number("%.2f", row.Ratio.Max),
			number("%.2f µs", row.ClientCPU), number("%.2f µs", row.ServerCPU),
			bound(row.Bound.Floor), bound(row.Bound.Aim), string(row.Verdict)))
	}
	fmt.Fprintf(w, "%s\n\n", r.Title)
	report.Align(w, rows)
	if len(r.Checks)+len(r.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%s: %s (%s to %s; noise %s to %s), floor %s: %s\n", c.What, number("%.2f", c.Ratio.Mid), number("%.2f", c.Ratio.Min),
			number("%.2f", c.Ratio.Max), number("%.2f", c.Noise.Min), number("%.2f", c.Noise.Max), bound(c.Bound.Floor), c.Verdict)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
}

// Legend says how to read the tables.
func Legend(w io.Writer) {
	fmt.Fprintf(w, "ratio: operations a second over %s's in the same round; median, least and most of the rounds.\n"+
		"CPU, server: CPU microseconds an operation, user and system together, of this process and of the servers'.\n"+
		"The ratios of %q are the noise: one within them counts as 1 (%q),\nor says nothing where they lie far apart (%q).\n", Base, Noise, versus.Even, versus.Noisy)
}

// number leaves out what was not measured.
func number(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func bound(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}
