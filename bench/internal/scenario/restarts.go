package scenario

import (
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

const (
	fMissing  = "keys whose first copy was lost"
	fPerMiss  = "origin loads, × these keys"
	fNormal   = "origin loads, × normal"
	fAgain    = "loads of keys that had been cached"
	fOpen     = "loads past a cache that failed"
	fNormally = "loads that are normal"
)

// restarts are nodes that return with nothing.
func restarts() []Scenario {
	rolling := func(b Bound) []Figure {
		return []Figure{{Name: fNormally, Format: "%.0f"}, {Name: fAgain, Format: "%.0f"}, {Name: fOpen, Format: "%.0f"}, {Name: fNormal, Format: "%.3f", Bound: b},
			{Name: fErrors, Format: "%.3f"}, safety[0], safety[1]}
	}
	return []Scenario{
		{
			Name: "empty", Title: "one of three nodes is killed and started anew, empty; two processes load through it", Rival: true,
			Figures: []Figure{{Name: fMissing, Format: "%.0f"}, {Name: fPerMiss, Format: "%.3f", Bound: most(1.05)}, {Name: fOpen, Format: "%.0f"},
				{Name: fErrors, Format: "%.3f"}, safety[0], safety[1]},
			play: (*run).empty,
		},
		{
			Name: "rolling", Title: "every one of three nodes is killed and started anew, empty, one after the other", Rival: true,
			Figures: rolling(most(1.02)),
			play:    (*run).rolling,
		},
		{
			Name: "rolling-off", Title: "the same with the restoring of cold copies off, which must be seen",
			Figures: rolling(least(1.02)),
			play: func(r *run) error {
				r.change = append(r.change, func(cfg *client.Config) { cfg.ColdWindow = client.NoColdWindow })
				return r.rolling()
			},
		},
	}
}

// empty is a read-only load: what is loaded is what was lost.
func (r *run) empty() error {
	l := &load{reads: 1}
	err := r.throughLoaders(3, l, func(g *loading) error {
		if err := r.pause(r.Phase / 4); err != nil {
			return err
		}
		l.enter(before)
		g.origin.forget()
		open := g.open()
		if err := r.pause(r.Phase); err != nil {
			return err
		}
		l.enter(during)
		if err := g.s.servers[0].Kill(); err != nil {
			return err
		}
		if err := r.pause(r.Phase / 4); err != nil {
			return err
		}
		if err := g.s.servers[0].Restart(); err != nil {
			return err
		}
		if err := g.up(name(0)); err != nil {
			return err
		}
		if err := r.pause(r.Phase); err != nil {
			return err
		}
		lost, err := r.lost(g)
		if err != nil {
			return err
		}
		r.put(fMissing, float64(lost))
		if r.player == ours {
			r.put(fOpen, float64(g.open()-open))
		}
		r.put(fPerMiss, ratio(float64(g.origin.again.Load()), float64(lost)))
		return nil
	})
	r.outcome(l)
	return err
}

// lost is how many keys' first copies were on the node that was killed: for gomemcache,
// whose placement is its own, the keys that were loaded, however often.
func (r *run) lost(g *loading) (n int64, err error) {
	if r.player == base {
		return g.origin.distinct(), nil
	}
	p, err := ring.New(ring.Config{Nodes: g.s.straight(), Copies: Copies})
	if err != nil {
		return 0, err
	}
	for _, key := range g.keys {
		if p.Nodes()[p.Lookup(key)[0]].Name == name(0) {
			n++
		}
	}
	return n, nil
}

// freshShare of the reads of a rolling restart are of keys that nobody has read before.
const freshShare = 0.05

// rolling is a read-only load with a normal number of loads.
func (r *run) rolling() error {
	l := &load{reads: 1, fresh: &fresh{share: freshShare}}
	err := r.throughLoaders(3, l, func(g *loading) error {
		if err := r.pause(r.Phase / 4); err != nil {
			return err
		}
		l.enter(before)
		g.origin.forget()
		used, open := l.fresh.used.Load(), g.open()
		if err := r.pause(r.Phase); err != nil {
			return err
		}
		l.enter(during)
		for i, m := range g.s.servers {
			if err := m.Restart(); err != nil {
				return err
			}
			if err := g.up(name(i)); err != nil {
				return err
			}
			if err := r.pause(r.Gap); err != nil {
				return err
			}
		}
		normal := float64(l.fresh.used.Load() - used)
		again := float64(g.origin.again.Load())
		r.put(fNormally, normal)
		if r.player == ours {
			r.put(fOpen, float64(g.open()-open))
		}
		r.put(fAgain, again)
		r.put(fNormal, ratio(normal+again, normal))
		return nil
	})
	r.outcome(l)
	return err
}

// outcome puts what callers saw of a load that has stopped.
func (r *run) outcome(l *load) {
	seen, _ := l.sum(before, during, after)
	wrong, stale := l.bad()
	r.put(fErrors, percent(seen.errors, seen.ops))
	r.put(fWrong, float64(wrong))
	r.put(fStale, float64(stale))
}
