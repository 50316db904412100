package scenario

import (
	"fmt"
	"strings"

	"github.com/memherd/memherd/bench/internal/versus"
)

// Promises are the bounds of s as a text: "wrong values = 0, errors ≤ 2".
func (s *Scenario) Promises() string {
	var out []string
	for _, f := range s.Figures {
		if f.Bound != (Bound{}) {
			out = append(out, f.Name+" "+f.Bound.String())
		}
	}
	return strings.Join(out, ", ")
}

// Passed says whether every bound holds, or, with safety alone, every one of safety.
func (r *Result) Passed(safety bool) bool {
	if safety {
		return !r.Unsafe()
	}
	bounds, held := r.Tally()
	return bounds == held
}

// Summary is what stands behind a verdict: the bounds that do not hold with what was measured, or how many
// do.
func (r *Result) Summary() string {
	var missed []string
	for _, row := range r.Rows {
		switch {
		case row.Verdict == versus.None || row.Verdict.Holds():
		case row.Ours == nil:
			missed = append(missed, fmt.Sprintf("%s not measured (%s)", row.Name, row.Bound))
		default:
			missed = append(missed, fmt.Sprintf("%s %s to %s (%s)", row.Name, row.text(row.Ours.Min), row.text(row.Ours.Max), row.Bound))
		}
	}
	if len(missed) > 0 {
		return strings.Join(missed, "; ")
	}
	bounds, _ := r.Tally()
	return fmt.Sprintf("%d floors held", bounds)
}
