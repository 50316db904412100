package scenario

import (
	"errors"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/proxy"
	"github.com/memherd/memherd/bench/internal/value"
)

// Names of figures that several scenarios have.
const (
	fErrors    = "errors, % of operations"
	fRate      = "operations a second, healthy"
	fCalm      = "p99, healthy, ms"
	fLater     = "errors after its return, %"
	fKept      = "throughput kept, %"
	fP99       = "p99, × healthy"
	fWaited    = "calls that waited the whole timeout"
	fSlowest   = "slowest call, ms"
	fMisses    = "misses, % of reads"
	fRecovered = "node back after its return, ms"
	fWrong     = "wrong values"
	fStale     = "stale values"
)

// safety are the figures that every scenario with a load ends with.
var safety = []Figure{
	{Name: fWrong, Format: "%.0f", Bound: most(0), Safety: true},
	{Name: fStale, Format: "%.0f", Bound: most(0), Safety: true},
}

// outages are the faults of a whole node.
func outages() []Scenario {
	return []Scenario{
		{
			Name: "crash", Title: "one of three nodes is killed, and later started anew, empty", Rival: true,
			Figures: figures(Figure{Name: fErrors, Format: "%.3f", Bound: most(0.1)}, Figure{Name: fLater, Format: "%.3f", Bound: most(0.1)}, Figure{Name: fP99, Format: "%.2f", Bound: most(2)},
				Figure{Name: fRecovered, Format: "%.0f", Bound: most(250)}, Figure{Name: fKept, Format: "%.0f"}),
			play: (*run).crash,
		},
		{
			Name: "hang", Title: "one of three nodes takes everything and answers nothing", Rival: true,
			Figures: figures(Figure{Name: fErrors, Format: "%.3f", Bound: most(0.5)}, Figure{Name: fLater, Format: "%.3f", Bound: most(0.5)}, Figure{Name: fKept, Format: "%.0f", Bound: least(90)},
				Figure{Name: fWaited, Format: "%.0f", Bound: most(64)}, Figure{Name: fRecovered, Format: "%.0f"}),
			play: outage(proxy.Hung, false),
		},
		{
			Name: "slow", Title: "replies of one of three nodes come 20 ms later; measured from 2 s on", Rival: true,
			Figures: figures(Figure{Name: fErrors, Format: "%.3f"}, Figure{Name: fLater, Format: "%.3f"}, Figure{Name: fReadP99, Format: "%.2f", Bound: most(3)},
				Figure{Name: fExtra, Format: "%.1f", Bound: most(5)}, Figure{Name: fKept, Format: "%.0f"}),
			play: outage(proxy.Plan{Latency: 20 * time.Millisecond}, true),
		},
		{
			Name: "flap", Title: "one of three nodes crashes or hangs, and returns, every 50 to 500 ms", Rival: true,
			Figures: figures(Figure{Name: fErrors, Format: "%.3f", Bound: most(1)}, Figure{Name: fLater, Format: "%.3f", Bound: most(1)}, Figure{Name: fDials, Format: "%.0f", Bound: most(10)},
				Figure{Name: fKept, Format: "%.0f"}),
			play: flap,
		},
	}
}

const (
	fReadP99 = "p99 of reads, × healthy"
	fExtra   = "extra requests, %"
	fDials   = "dials of the node, worst second"
)

// figures puts a scenario's own figures between those that all of them have.
func figures(own ...Figure) []Figure {
	out := append([]Figure{{Name: fRate, Format: "%.0f"}, {Name: fCalm, Format: "%.1f"}}, own...)
	out = append(out, Figure{Name: fSlowest, Format: "%.0f"}, Figure{Name: fMisses, Format: "%.2f"})
	return append(out, safety...)
}

// outage is a fault on one node for a phase. Where the client is granted time to find
// out about it, that comes before.
func outage(plan proxy.Plan, granted bool) func(r *run) error {
	return func(r *run) error {
		return r.underLoad(func(l *load, s *stage, _ *dials) error {
			p := s.ways[0]
			if err := p.Set(plan); err != nil {
				return err
			}
			if granted {
				l.enter(detection)
				if err := r.pause(r.Phase); err != nil {
					return err
				}
			}
			sent := requests(l.caches[0])
			l.enter(during)
			if err := r.pause(r.Phase); err != nil {
				return err
			}
			sent = requests(l.caches[0]) - sent
			l.enter(after)
			if r.shows(fExtra) && sent > 0 {
				// Until the load is over and its operations are counted.
				r.put(fExtra, float64(sent))
			}
			return p.Set(proxy.Healthy)
		})
	}
}

// crash kills the process, and the proxy refuses and resets meanwhile as its machine would.
func (r *run) crash() error {
	return r.underLoad(func(l *load, s *stage, _ *dials) error {
		if err := errors.Join(s.ways[0].Set(proxy.Crashed), s.servers[0].Kill()); err != nil {
			return err
		}
		l.enter(during)
		if err := r.pause(r.Phase); err != nil {
			return err
		}
		if err := s.servers[0].Restart(); err != nil {
			return err
		}
		l.enter(after)
		return s.ways[0].Set(proxy.Healthy)
	})
}

// flap plays a schedule of outages for two phases.
func flap(r *run) error {
	return r.underLoad(func(l *load, s *stage, log *dials) error {
		p := s.ways[0]
		steps := proxy.Flapping(r.seed, 2*r.Phase, 50*time.Millisecond, 500*time.Millisecond, proxy.Crashed, proxy.Hung)
		began := time.Now()
		l.enter(during)
		if err := p.Play(r.ctx, steps); err != nil {
			return err
		}
		l.enter(after)
		r.put(fDials, float64(log.worst(p.Addr(), began)))
		return nil
	})
}

// underLoad plays a fault on the first of three nodes, between two healthy phases, and
// puts all figures that the run's scenario shows. fault enters its phases itself, and
// the last one when it makes the node well.
func (r *run) underLoad(fault func(l *load, s *stage, log *dials) error) (err error) {
	s, err := raise(3, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	log := newDials()
	c, err := r.open(through(s.ways), log)
	if err != nil {
		return err
	}
	defer closing(&err, c.Close)
	l := &load{caches: []cache{c}, reads: reads}
	if err := r.start(l, func(key string) error { return c.Set(r.ctx, key, value.Make(key, 1, valueSize)) }); err != nil {
		return err
	}
	back, err := r.acts(l, c, func() error { return fault(l, s, log) })
	if err = errors.Join(err, l.stop()); err != nil {
		return err
	}
	r.show(l, back)
	return nil
}

// acts goes through the phases and returns how long after the end of the fault the node
// was back: serving reads again, and no more errors.
func (r *run) acts(l *load, c cache, fault func() error) (back time.Duration, err error) {
	if err := r.calm(l); err != nil {
		return 0, err
	}
	if err := fault(); err != nil {
		return 0, err
	}
	healed := time.Now()
	if m, ok := c.(memherd); ok {
		if back, err = r.awaitUp(m.Client, name(0)); err != nil {
			return 0, err
		}
	}
	if err := r.pause(r.Phase - time.Since(healed)); err != nil {
		return 0, err
	}
	if last := l.born.Add(time.Duration(l.failed.Load())); last.After(healed) {
		back = max(back, last.Sub(healed))
	}
	return back, nil
}

// show puts the figures of a load that has stopped.
func (r *run) show(l *load, back time.Duration) {
	healthy, length := l.sum(before)
	fault, faultLength := l.sum(during)
	early, _ := l.sum(detection)
	late, _ := l.sum(after)
	end := l.sweep()
	wrong, stale := l.bad()
	for name, v := range map[string]float64{
		fRate:      perSecond(healthy.ops-healthy.errors, length),
		fCalm:      quantile(slices.Concat(healthy.read, healthy.set), 0.99),
		fErrors:    percent(early.errors+fault.errors, early.ops+fault.ops),
		fLater:     percent(late.errors, late.ops),
		fKept:      100 * ratio(perSecond(fault.ops-fault.errors, faultLength), perSecond(healthy.ops-healthy.errors, length)),
		fP99:       ratio(quantile(slices.Concat(fault.read, fault.set), 0.99), quantile(slices.Concat(healthy.read, healthy.set), 0.99)),
		fReadP99:   ratio(quantile(fault.read, 0.99), quantile(healthy.read, 0.99)),
		fWaited:    float64(fault.waited),
		fSlowest:   max(quantile(slices.Concat(fault.read, fault.set), 1), quantile(slices.Concat(early.read, early.set), 1)),
		fMisses:    percent(fault.misses+late.misses, fault.ops-fault.sets+late.ops-late.sets),
		fRecovered: float64(back.Milliseconds()),
		fWrong:     float64(wrong + end.wrong),
		fStale:     float64(stale + end.stale),
	} {
		if r.shows(name) {
			r.put(name, v)
		}
	}
	if sent, ok := r.values[fExtra]; ok {
		want := float64(fault.ops - fault.sets + Copies*fault.sets)
		r.put(fExtra, 100*ratio(sent-want, want))
	}
}
