package scenario

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/client"
)

// Names of the players.
const (
	ours = "memherd"
	base = "gomemcache"
)

// run is one time that one client plays a scenario.
type run struct {
	Setup
	ctx     context.Context
	seed    uint64 // of this run
	player  string
	figures []Figure               // that the scenario shows
	change  []func(*client.Config) // of memherd's clients
	// processes is how many load through the cache; 0 means two.
	processes int
	values    map[string]float64
	errs      subject.Errors // what callers saw
	bad       subject.Errors // wrong and stale values
}

// shows says whether the scenario has a figure.
func (r *run) shows(name string) bool {
	return slices.ContainsFunc(r.figures, func(f Figure) bool { return f.Name == name })
}

// addresses are left out of errors, so that two of a kind look alike.
var addresses = regexp.MustCompile(`(127\.0\.0\.1:\d+(->)?)+`)

// failed counts an error that a caller saw.
func (r *run) failed(op string, err error) {
	r.errs.Add(op + ": " + addresses.ReplaceAllString(err.Error(), "…"))
}

// put notes a figure's value.
func (r *run) put(name string, v float64) { r.values[name] = v }

// maxNotes is how many different errors of each client are shown.
const maxNotes = 3

// Play plays a scenario as often as the setup says. watch, if not nil, is told before
// each run whose it is. An error means that it could not be played; what goes wrong in
// it is in the result.
func Play(ctx context.Context, s Scenario, setup Setup, watch func(word string)) (Result, error) {
	res := Result{Name: s.Name, Title: s.Title}
	values, notes := map[string]map[string][]float64{ours: {}, base: {}}, map[string][]string{}
	for n := range s.runs(setup) {
		for _, player := range s.players() {
			if watch != nil {
				watch(fmt.Sprintf("%s, run %d", player, n+1))
			}
			r := &run{Setup: setup, ctx: ctx, seed: setup.Seed + uint64(n), player: player, figures: s.Figures, values: map[string]float64{}}
			if err := s.play(r); err != nil {
				if ctx.Err() != nil {
					return res, ctx.Err()
				}
				return res, fmt.Errorf("scenario %s, %s: %w", s.Name, player, err)
			}
			for name, v := range r.values {
				values[player][name] = append(values[player][name], v)
			}
			notes[player] = append(notes[player], slices.Concat(r.bad.First(), r.errs.First())...)
		}
	}
	for _, player := range s.players() {
		slices.Sort(notes[player])
		different := slices.Compact(notes[player])
		for _, note := range different[:min(len(different), maxNotes)] {
			res.Notes = append(res.Notes, player+": "+note)
		}
	}
	for _, f := range s.Figures {
		row := Row{Figure: f, Ours: rangeOf(values[ours][f.Name]), Base: rangeOf(values[base][f.Name])}
		row.Verdict = f.judge(row.Ours)
		res.Rows = append(res.Rows, row)
		delete(values[ours], f.Name)
		delete(values[base], f.Name)
	}
	if len(values[ours])+len(values[base]) > 0 {
		return res, fmt.Errorf("scenario %s measures what it does not show: %v", s.Name, values)
	}
	return res, nil
}

func (s *Scenario) players() []string {
	if s.Rival {
		return []string{ours, base}
	}
	return []string{ours}
}

// Turns is how many runs Play makes.
func (s *Scenario) Turns(setup Setup) int { return s.runs(setup) * len(s.players()) }

func (s *Scenario) runs(setup Setup) int {
	if s.Once {
		return 1
	}
	return setup.Runs
}

// closing joins the error of what closes at the end to the one a function ends with.
func closing(err *error, f func() error) {
	if closeErr := f(); closeErr != nil {
		*err = errors.Join(*err, closeErr)
	}
}

// parallel calls f for 0 to n-1 from as many goroutines as there are workers, and
// returns the first error.
func (r *run) parallel(n int, f func(i int) error) error {
	var next atomic.Int64
	var g errgroup.Group
	for range r.Workers {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := r.ctx.Err(); err != nil {
					return err
				}
				if err := f(i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}
