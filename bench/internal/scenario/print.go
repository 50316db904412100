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
	aims := slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Aim != Bound{} })
	rows := [][]string{{"", ours + " min", "max", "floor", ""}}
	if aims {
		rows[0] = append(rows[0], "aim")
	}
	if rival {
		rows[0] = append(rows[0], base+" min", "max")
	}
	for _, row := range r.Rows {
		cells := append([]string{row.Name}, row.cells(row.Ours)...)
		cells = append(cells, row.Bound.String(), string(row.Verdict))
		if aims {
			cells = append(cells, row.Aim.String())
		}
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

// PrintFloors writes every figure of results that has a floor as one table, each beside what its scenario says of rate.
func PrintFloors(w io.Writer, results []Result, rate string) {
	rows := [][]string{{"", "", "min", "max", "floor", "", "aim", rate}}
	for i := range results {
		r, beside := &results[i], "-"
		for _, row := range r.Rows {
			if row.Name == rate {
				beside = row.cells(row.Ours)[1]
			}
		}
		for _, row := range r.Rows {
			if row.Bound == (Bound{}) {
				continue
			}
			cells := append([]string{r.Name, row.Name}, row.cells(row.Ours)...)
			rows = append(rows, append(cells, row.Bound.String(), string(row.Verdict), row.Aim.String(), beside))
		}
	}
	report.Align(w, rows)
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
