package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/memherd/memherd/bench/internal/confirmed"
	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/bench/internal/proxy"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
)

const (
	fTooOld    = "reads older than the bound"
	fJudged    = "reads judged"
	fNearShare = "served from memory, %"
	fUnjudged  = "reads that could not be judged"
	fWritten   = "versions confirmed"
	fOffStale  = "reads older than the bound, the near-cache told an hour"
	fReadFail  = "failed reads, %"
	fReadMiss  = "missed reads, %"
	fOffWorst  = "by at least, ms"
)

// stalenesses are the scenarios that hold every read against its bound: one process writes, others read.
func stalenesses() []Scenario {
	figures := []Figure{{Name: fTooOld, Format: "%.0f", Bound: most(0), Safety: true}, {Name: fJudged, Format: "%.0f"}, {Name: fUnjudged, Format: "%.0f", Bound: most(0)},
		{Name: fNearShare, Format: "%.1f", Bound: least(30)}, {Name: fWritten, Format: "%.0f", Bound: least(1)}, {Name: fReadMiss, Format: "%.2f"}, {Name: fReadFail, Format: "%.3f"},
		{Name: fCostRate, Format: "%.0f"}, {Name: fWrong, Format: "%.0f", Bound: most(0), Safety: true}}
	bound := func(name string, x time.Duration) Scenario {
		return Scenario{Name: name, Title: fmt.Sprintf("eight processes read the keys that another one writes, X = %v", x), Once: true, Figures: figures,
			play: func(r *run) error {
				return r.watch(sight{bound: x, staleness: x}, func(w *watch) error {
					got, err := w.read(watchOrder{Reads: r.Hot.Reads / int64(len(w.readers))})
					return errors.Join(err, w.judge(got))
				})
			}}
	}
	fault := func(name, title string, strike func(w *watch) error) Scenario {
		return Scenario{Name: name, Title: title + ", X = 50 ms", Once: true, Figures: figures,
			play: func(r *run) error {
				return r.watch(sight{50 * time.Millisecond, 50 * time.Millisecond, true}, struck(strike))
			}}
	}
	return []Scenario{
		bound("stale-50ms", 50*time.Millisecond), bound("stale-5ms", 5*time.Millisecond),
		{Name: "stale-off", Title: "the same with a near-cache that is told an hour: what the others must not show is seen", Once: true,
			Figures: []Figure{{Name: fOffStale, Format: "%.0f", Bound: least(1), Safety: true}, {Name: fOffWorst, Format: "%.0f"}, {Name: fJudged, Format: "%.0f"}, {Name: fCostRate, Format: "%.0f"}},
			play: func(r *run) error {
				return r.watch(sight{bound: 50 * time.Millisecond, staleness: time.Hour}, func(w *watch) error {
					got, err := w.read(watchOrder{Lasts: r.Hot.Fault})
					r.put(fOffStale, float64(got.Stale))
					r.put(fOffWorst, ms(got.Worst))
					r.put(fJudged, float64(got.Reads-got.Unknown))
					r.put(fCostRate, float64(got.OneIn))
					return err
				})
			}},
		fault("stale-crash", "a node is killed and started again, over and over", func(w *watch) error {
			return w.again(func() error {
				err := w.s.servers[0].Kill()
				return errors.Join(err, w.r.pause(w.r.Hot.Fault/8), w.s.servers[0].Restart())
			})
		}),
		fault("stale-hang", "a node is stopped and goes on, over and over", func(w *watch) error {
			return w.again(func() error {
				err := w.s.servers[0].Pause()
				return errors.Join(err, w.r.pause(w.r.Hot.Fault/8), w.s.servers[0].Resume())
			})
		}),
		fault("stale-partition", "readers are cut off from a node that the writer reaches, over and over", func(w *watch) error {
			return w.again(func() error {
				err := w.s.ways[0].Set(proxy.Partitioned)
				return errors.Join(err, w.r.pause(w.r.Hot.Fault/8), w.s.ways[0].Set(proxy.Healthy))
			})
		}),
		fault("stale-stopped", "the readers are stopped for 2 s", func(w *watch) error {
			for _, p := range w.readers {
				if err := p.Pause(); err != nil {
					return err
				}
			}
			err := w.r.pause(w.r.Hot.Stopped)
			for _, p := range w.readers {
				err = errors.Join(err, p.Resume())
			}
			return err
		}),
	}
}

// watch is a fleet, its writer, which is this process, and its readers.
type watch struct {
	r       *run
	s       *stage
	log     *confirmed.Log
	writer  *client.Client
	readers []*part.Player
	written int64 // versions that all copies have confirmed
}

// struck strikes while all read.
func struck(strike func(w *watch) error) func(w *watch) error {
	return func(w *watch) error {
		if _, err := w.read(watchOrder{Lasts: w.r.Hot.Fault / 8}); err != nil { // the keys get hot
			return err
		}
		var got watched
		var g errgroup.Group
		g.Go(func() (err error) {
			got, err = w.read(watchOrder{Lasts: w.r.Hot.Fault})
			return err
		})
		g.Go(func() error {
			return errors.Join(w.r.pause(w.r.Hot.Fault/8), strike(w))
		})
		return errors.Join(g.Wait(), w.judge(got))
	}
}

// again does something and its opposite as often as there is time.
func (w *watch) again(do func() error) error {
	for range 3 {
		if err := errors.Join(do(), w.r.pause(w.r.Hot.Fault/8)); err != nil {
			return err
		}
	}
	return nil
}

// judge puts the figures.
func (w *watch) judge(got watched) error {
	r := w.r
	for _, n := range got.Notes {
		r.errs.Add(n)
	}
	r.put(fTooOld, float64(got.Stale))
	r.put(fJudged, float64(got.Reads-got.Unknown-got.Missed-got.Failed))
	r.put(fUnjudged, float64(got.Unknown))
	r.put(fNearShare, percent(min(got.Near, got.Reads), got.Reads)) // what comes from memory is counted by samples
	r.put(fReadMiss, percent(got.Missed, got.Reads))
	r.put(fReadFail, percent(got.Failed, got.Reads))
	r.put(fCostRate, float64(got.OneIn))
	r.put(fWrong, float64(got.Wrong))
	return nil
}

// read has all readers read and adds up what they saw.
func (w *watch) read(o watchOrder) (sum watched, err error) {
	answers := make([]watched, len(w.readers))
	var g errgroup.Group
	for i, p := range w.readers {
		g.Go(func() error { return p.Ask(o, &answers[i]) })
	}
	err = g.Wait()
	for _, a := range answers {
		sum.add(a)
	}
	return sum, err
}

// sight is how readers see the nodes.
type sight struct {
	bound, staleness time.Duration // of watching
	// proxied readers can be cut off. Others reach the nodes themselves: proxies take more of the processors than the
	// nodes, and where a key takes longer to come than it may serve memory has no part in it.
	proxied bool
}

// watch sets everything up, has the keys written all the time, and plays.
func (r *run) watch(see sight, play func(w *watch) error) (err error) {
	w := &watch{r: r}
	if w.s, err = raise(herdNodes, r.seed); err != nil {
		return err
	}
	defer closing(&err, w.s.close)
	dir, err := os.MkdirTemp("", "memherd-bench-")
	if err != nil {
		return err
	}
	defer closing(&err, func() error { return os.RemoveAll(dir) })
	path := filepath.Join(dir, "confirmed")
	if w.log, err = confirmed.Create(path, r.Hot.Keys); err != nil {
		return err
	}
	defer closing(&err, w.log.Close)
	if w.writer, err = r.client(w.s.straight(), nil); err != nil {
		return err
	}
	defer closing(&err, w.writer.Close)

	ctx, cancel := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { w.write(ctx) })
	defer func() {
		cancel()
		wg.Wait()
		if r.shows(fWritten) {
			r.put(fWritten, float64(w.written))
		}
	}()
	defer func() {
		for _, p := range w.readers {
			end := p.Close
			if err != nil {
				end = p.Kill
			}
			closing(&err, end)
		}
	}()
	nodes := w.s.straight()
	if see.proxied {
		nodes = through(w.s.ways)
	}
	for i := range r.Hot.Readers {
		p, err := part.Start(r.ctx, watcherPart, watching{Nodes: nodes, Log: path, Keys: r.Hot.Keys, Bound: see.bound, Staleness: see.staleness,
			Timeout: r.Timeout, Workers: 2, Seed: r.seed<<8 + uint64(i)})
		if err != nil {
			return err
		}
		w.readers = append(w.readers, p)
		if err := p.Hear(&watched{}); err != nil {
			return err
		}
	}
	return play(w)
}

// write gives the keys new values, one after the other, until ctx ends. What not every copy has confirmed is not noted:
// the next version is.
func (w *watch) write(ctx context.Context) {
	names := keys(w.r.Hot.Keys)
	versions := make([]uint64, len(names))
	tick := time.NewTicker(w.r.Hot.Every)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(names) {
		versions[i]++
		out, err := w.writer.Set(ctx, client.Item{Key: names[i], Value: value.Make(names[i], versions[i], valueSize)})
		if err == nil && out.Confirmed == out.Copies {
			w.log.Note(i, versions[i])
			w.written++
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
