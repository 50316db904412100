package scenario

import (
	"slices"

	"github.com/memherd/memherd/bench/internal/versus"
)

// Figure is something a scenario measures once a run.
type Figure struct {
	Name   string `json:"name"`
	Format string `json:"-"` // of its values, for fmt
	Bound  Bound  `json:"bound,omitzero"`
	// Aim is what is hoped for beyond Bound.
	Aim Bound `json:"aim,omitzero"`
	// Safety marks what must never be missed: a scenario that misses it has failed.
	Safety bool `json:"safety,omitempty"`
}

// Bound is what every run's value is held against. The zero value bounds nothing.
type Bound struct {
	Least *float64 `json:"least,omitempty"`
	Most  *float64 `json:"most,omitempty"`
}

func most(v float64) Bound  { return Bound{Most: &v} }
func least(v float64) Bound { return Bound{Least: &v} }

// exactly is both.
func exactly(v float64) Bound { return Bound{Least: &v, Most: &v} }

// Range is the least and the most of the runs.
type Range struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

func rangeOf(v []float64) *Range {
	if len(v) == 0 {
		return nil
	}
	return &Range{slices.Min(v), slices.Max(v)}
}

// judge holds the worst run against the bound, and against the aim if there is one. A bound without a value is not measured,
// which is no pass.
func (f Figure) judge(v *Range) versus.Verdict {
	switch {
	case f.Bound == (Bound{}):
		return versus.None
	case v == nil:
		return versus.Unmeasured
	case !f.Bound.holds(v):
		return versus.Below
	case f.Aim != (Bound{}) && f.Aim.holds(v):
		return versus.Aimed
	}
	return versus.Reached
}

func (b Bound) holds(v *Range) bool {
	return (b.Most == nil || v.Max <= *b.Most) && (b.Least == nil || v.Min >= *b.Least)
}

// Row is one figure of a scenario with what came of it.
type Row struct {
	Figure
	Ours    *Range         `json:"memherd,omitempty"`
	Base    *Range         `json:"gomemcache,omitempty"`
	Verdict versus.Verdict `json:"verdict,omitempty"`
}

// Result is one scenario, played.
type Result struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Rows  []Row    `json:"rows"`
	Notes []string `json:"notes,omitempty"` // a few errors of each client
}

// Unsafe says whether a figure of safety was missed.
func (r *Result) Unsafe() bool {
	return slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Safety && !row.Verdict.Holds() })
}

// Tally counts the bounds of a result and those that hold.
func (r *Result) Tally() (bounds, held int) {
	for _, row := range r.Rows {
		if row.Verdict != versus.None {
			bounds++
		}
		if row.Verdict.Holds() {
			held++
		}
	}
	return bounds, held
}
