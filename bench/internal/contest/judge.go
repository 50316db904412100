package contest

import (
	"fmt"

	"github.com/memherd/memherd/bench/internal/versus"
)

// add adds the scores of one case to the table. The first is the base, bounds are what
// is promised, by name, and noise is the name of the base's double.
func (r *Result) add(size int, scores []versus.Score, noise string, bounds map[string]versus.Bound) {
	var spread versus.Spread
	for _, s := range scores {
		if s.Name == noise {
			spread = s.Ratio
		}
	}
	for i, s := range scores {
		row := Row{Score: s, Size: size, Bound: bounds[s.Name]}
		if i > 0 && s.Name != noise {
			row.Verdict = row.Bound.Judge(s.Ratio, spread)
		}
		r.Rows = append(r.Rows, row)
	}
}

// judge adds a case's scores to the result, with what they come to.
func (r *Result) judge(t Table, c Case, scores []versus.Score) {
	r.add(c.Size, scores, Noise, map[string]versus.Bound{Ours: c.Ratio})
	by := map[string]versus.Score{}
	for _, s := range scores {
		by[s.Name] = s
	}
	ours, noise := by[Ours], by[Noise]
	check := func(what string, ratio, spread versus.Spread, b versus.Bound) {
		if b != (versus.Bound{}) {
			r.Checks = append(r.Checks, Check{fmt.Sprintf(what, at(c.Goroutines)), ratio, spread, b, b.Judge(ratio, spread)})
		}
	}
	check("p50 at %s, times as short", ours.P50Ratio, noise.P50Ratio, c.P50)
	check("client CPU an operation at %s, times as little", ours.CPURatio, noise.CPURatio, c.CPU)
	if t.Deadline > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("a context.WithTimeout an operation at %s costs %s, %s", at(c.Goroutines),
			deadlineCost(by, Ours), deadlineCost(by, Base)))
	}
}

func at(goroutines int) string {
	if goroutines == 1 {
		return "1 goroutine"
	}
	return fmt.Sprintf("%d goroutines", goroutines)
}

// deadlineCost compares a player with itself without the deadline, by what both are to
// gomemcache in the same rounds.
func deadlineCost(by map[string]versus.Score, name string) string {
	with, bare := by[name], by[name+without]
	return fmt.Sprintf("%s %.1f %% of its throughput and %+.2f µs of CPU", name,
		100*(1-with.Ratio.Mid/bare.Ratio.Mid), with.ClientCPU-bare.ClientCPU)
}

// Tally counts promises.
type Tally struct{ Judged, Held, Noisy int }

// Tally adds the table's promises to t and returns the sum.
func (r *Result) Tally(t Tally) Tally {
	count := func(b versus.Bound, v versus.Verdict) {
		if b.Floor == 0 {
			return
		}
		t.Judged++
		if v.Holds() {
			t.Held++
		}
		if v == versus.Noisy {
			t.Noisy++
		}
	}
	for _, row := range r.Rows {
		count(row.Bound, row.Verdict)
	}
	for _, c := range r.Checks {
		count(c.Bound, c.Verdict)
	}
	return t
}
