package scenario

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/memherd/memherd/bench/internal/report"
)

// Print writes the result as a table for people.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\n", r.Name, r.Title)
	rival := slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Base != nil })
	rows := [][]string{{"", ours + " min", "max", "floor", ""}}
	if rival {
		rows[0] = append(rows[0], base+" min", "max")
	}
	for _, row := range r.Rows {
		cells := append([]string{row.Name}, row.cells(row.Ours)...)
		cells = append(cells, row.Bound.String(), string(row.Verdict))
		if rival {
			cells = append(cells, row.cells(row.Base)...)
		}
		rows = append(rows, cells)
	}
	report.Align(w, rows)
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
}

func (f Figure) cells(v *Range) []string {
	if v == nil {
		return []string{"-", "-"}
	}
	return []string{f.text(v.Min), f.text(v.Max)}
}

func (f Figure) text(v float64) string {
	if f.Format == "%.0f" && !math.IsNaN(v) {
		return report.Count(int64(math.Round(v)))
	}
	return fmt.Sprintf(f.Format, v)
}

// String is "≤ 2", "≥ 90", "= 1" or nothing.
func (b Bound) String() string {
	switch {
	case b.Most != nil && b.Least != nil && *b.Most == *b.Least:
		return fmt.Sprintf("= %g", *b.Most)
	case b.Most != nil:
		return fmt.Sprintf("≤ %g", *b.Most)
	case b.Least != nil:
		return fmt.Sprintf("≥ %g", *b.Least)
	}
	return ""
}
