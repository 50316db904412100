package scenario

import (
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/loader"
)

const (
	fSoftExtra   = "origin loads a key and cycle, refreshed behind readers"
	fSoftNominal = "the same, × keys × time ÷ soft TTL"
	fBlocked     = "reads that waited while a stale value was there"
	fHardExtra   = "origin loads a key and cycle, TTL alone"
	fHardNominal = "the same, × keys × time ÷ TTL"
	fSoftP99     = "p99, refreshed behind readers, ms"
	fHardP99     = "p99, TTL alone, ms"
)

const (
	steadyTakes   = 5 * time.Millisecond
	steadyWorkers = 32 // reads under way in each process
	steadyZipf    = 0.5
)

// steady is reads of many keys for many lives of their values, with and without a soft TTL.
func steady() Scenario {
	return Scenario{
		Name: "steady", Title: "four processes read 10,000 keys through many cycles of their TTL",
		Figures: []Figure{{Name: fSoftExtra, Format: "%.4f", Bound: most(1.01)}, {Name: fSoftNominal, Format: "%.3f", Bound: most(1.01)}, {Name: fBlocked, Format: "%.0f", Bound: most(0)},
			{Name: fHardExtra, Format: "%.4f", Bound: most(1.01)}, {Name: fHardNominal, Format: "%.3f", Bound: most(1.01)}, {Name: fSoftP99, Format: "%.1f"}, {Name: fHardP99, Format: "%.1f"},
			{Name: fFailed, Format: "%.0f", Bound: most(0)}, safety[0]},
		play: (*run).steady,
	}
}

func (r *run) steady() error {
	r.put(fFailed, 0)
	r.put(fWrong, 0)
	ttl := r.Herd.TTL
	for _, c := range []struct {
		extra, nominal, p99, blocked string
		cfg                          reading
		cycle                        time.Duration
	}{
		// Values that are due are there for ever: whoever has to wait, waits wrongly.
		{fSoftExtra, fSoftNominal, fSoftP99, fBlocked, reading{TTL: time.Hour, Freshness: loader.Freshness{Soft: ttl}}, ttl * 9 / 10},
		// memcached counts whole seconds from the last tick of its clock on, so a value may
		// be gone a second before its TTL.
		{fHardExtra, fHardNominal, fHardP99, "", reading{TTL: ttl}, (ttl - min(time.Second, ttl/2)) * 9 / 10},
	} {
		err := r.gather(r.Herd.Fleet, origin.SharedConfig{Takes: steadyTakes, Cycle: c.cycle}, c.cfg, func(h *herd) error {
			// At first the reads themselves fill the cache, and spread the keys over the cycle.
			t := traffic{Keys: r.Herd.Known, Zipf: steadyZipf, Rate: r.Herd.Rate / float64(r.Herd.Fleet), Workers: steadyWorkers}
			if _, err := h.drive(t, 2*ttl); err != nil {
				return err
			}
			if err := h.fill(r.Herd.Known); err != nil {
				return err
			}
			h.origin.Loads()
			lasts := time.Duration(r.Herd.Cycles) * ttl
			got, err := h.drive(t, lasts)
			if err != nil {
				return err
			}
			r.saw(got)
			n := h.origin.Loads()
			r.put(c.extra, n.Excess())
			r.put(c.nominal, float64(n.All)/(float64(r.Herd.Known)*float64(lasts)/float64(ttl)))
			r.put(c.p99, ms(got.P99))
			if c.blocked != "" {
				r.put(c.blocked, float64(got.Misses))
			}
			r.add(fFailed, float64(got.Failed))
			r.add(fWrong, float64(got.Wrong))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
