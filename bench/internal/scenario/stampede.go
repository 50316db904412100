package scenario

import (
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/loader"
)

const (
	fExpired     = "origin loads, key expired"
	fKeptValue   = "origin loads, value past its TTL, kept for errors"
	fUnleased    = "origin loads, leases off"
	fFailed      = "callers that failed"
	fSlowestCall = "slowest caller, ms"
	fServed      = "others served, ms after the lease was won"
	fOver        = "ms later than the lease"
	fOthers      = "origin loads, the holder's and one more"
)

// stampedeTakes is how long the load takes that everybody waits for.
const stampedeTakes = 50 * time.Millisecond

// stampede has every caller of every process ask for a key at one moment, when it has
// just expired.
func stampede() Scenario {
	return Scenario{
		Name: "stampede", Title: "20 processes with 500 callers each ask for one key that has expired; a load takes 50 ms",
		Figures: []Figure{{Name: fExpired, Format: "%.0f", Bound: exactly(1)}, {Name: fKeptValue, Format: "%.0f", Bound: exactly(1)},
			{Name: fUnleased, Format: "%.0f", Bound: most(20)}, {Name: fSlowestCall, Format: "%.0f"}, {Name: fFailed, Format: "%.0f", Bound: most(0), Safety: true},
			safety[0]},
		play: (*run).stampede,
	}
}

func (r *run) stampede() error {
	r.put(fFailed, 0)
	r.put(fWrong, 0)
	ttl := r.Herd.TTL
	for _, c := range []struct {
		figure string
		cfg    reading
		wait   time.Duration // from the first load on: a node's clock may be a second late
	}{
		{fExpired, reading{TTL: ttl}, ttl + 1200*time.Millisecond},
		{fKeptValue, reading{TTL: ttl, Freshness: loader.Freshness{IfError: time.Minute}}, ttl + 200*time.Millisecond},
		{fUnleased, reading{TTL: ttl, Unleased: true}, ttl + 1200*time.Millisecond},
	} {
		err := r.gather(r.Herd.Processes, origin.SharedConfig{Takes: stampedeTakes}, c.cfg, func(h *herd) error {
			if err := h.one("k"); err != nil {
				return err
			}
			at := time.Now().Add(c.wait)
			h.origin.Loads()
			got, err := h.all(h.readers, func(int) order {
				return order{Get: &getting{Key: "k", Callers: r.Herd.Callers, At: at}}
			})
			if err != nil {
				return err
			}
			r.saw(got)
			r.put(c.figure, float64(h.origin.Loads().All))
			r.most(fSlowestCall, ms(got.Slowest))
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

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
