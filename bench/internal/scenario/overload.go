package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
)

const (
	fUtilised  = "the origin's load before, % of what it bears"
	fOffered   = "origin loads, × those that were needed"
	fGoodput   = "goodput regained after, s"
	fGoodFresh = "the same, keys never read before, s"
	fWorst     = "goodput, worst second, %"
	fWorstNew  = "the same, keys never read before, %"
	fCalmGood  = "goodput before, %"
)

// The origin that is overloaded, and what the readers know of it.
const (
	overloadTakes    = 10 * time.Millisecond // a load, in one of the slots
	overloadDeadline = time.Second           // of each read
	overloadFresh    = 0.2                   // share of the loads that are of keys never read before
	goodput          = 0.95
)

// overload is a scenario of an origin that gets more to do than it can.
func overload(name, title string, load float64, strike, relent func(h *herd) error) Scenario {
	figures := []Figure{{Name: fUtilised, Format: "%.0f"}, {Name: fOffered, Format: "%.3f", Bound: most(1.1)}, {Name: fGoodput, Format: "%.0f", Bound: most(10)},
		{Name: fGoodFresh, Format: "%.0f", Bound: most(10)}, {Name: fCalmGood, Format: "%.2f"}, {Name: fWorst, Format: "%.1f"}, {Name: fWorstNew, Format: "%.1f"}, safety[0]}
	return Scenario{Name: name, Title: title, Figures: figures, play: func(r *run) error {
		if relent == nil { // it is over at once
			r.Herd.Fault, relent = 0, func(*herd) error { return nil }
		}
		return r.overload(load, strike, relent)
	}}
}

func slowOrigin() Scenario {
	return overload("slow-origin", "the origin takes ten times as long for 5 s, at 90 % of what it bears", 0.9,
		func(h *herd) error { h.origin.Slow(10); return nil },
		func(h *herd) error { h.origin.Slow(1); return nil })
}

func emptied() Scenario {
	return overload("emptied", "all nodes lose all they have, at 80 % of what the origin bears", 0.8, (*herd).empty, nil)
}

// empty flushes every node.
func (h *herd) empty() (err error) {
	c, err := client.New(client.Config{Nodes: h.s.straight(), Timeout: HerdTimeout, EpochKey: client.NoEpoch})
	if err != nil {
		return err
	}
	defer closing(&err, c.Close)
	h.origin.Lost()
	return c.FlushAll(context.Background())
}

// overload strikes after Calm and relents after Fault.
func (r *run) overload(load float64, strike, relent func(h *herd) error) error {
	bears := float64(r.Herd.Slots) / overloadTakes.Seconds()
	rate := r.Herd.Reads * float64(r.Herd.Slots)
	again := load * bears * (1 - overloadFresh) // loads a second of keys that are read again
	// A value is loaded when it is read for the first time after its soft TTL, which of keys
	// that are all read alike is keys/rate later on average.
	known := int(again * r.Herd.Soft.Seconds() / (1 - again/rate))
	t := traffic{Keys: known, Fresh: load * bears * overloadFresh / rate, Rate: rate / float64(r.Herd.Fleet), Deadline: overloadDeadline}
	t.Workers = int(1.1 * t.Rate * overloadDeadline.Seconds()) // enough if all of them wait as long as they may
	cfg := reading{
		TTL: 2 * r.Herd.Soft, Freshness: loader.Freshness{Soft: r.Herd.Soft, IfError: time.Minute}, LoadTimeout: overloadDeadline,
		MaxLoads: r.Herd.Slots, Protect: loader.Origin{MinLoads: 1, SlowAfter: 5 * overloadTakes, QueueWait: overloadDeadline / 5},
	}
	shared := origin.SharedConfig{Takes: overloadTakes, Slots: r.Herd.Slots, Cycle: r.Herd.Soft * 9 / 10, Patience: overloadDeadline}
	return r.gather(r.Herd.Fleet, shared, cfg, func(h *herd) error {
		if _, err := h.drive(t, r.Herd.Soft); err != nil {
			return err
		}
		if err := h.fill(known); err != nil {
			return err
		}
		h.origin.Loads()
		var before origin.Loads
		var failed error
		acts := make(chan struct{})
		go func() {
			defer close(acts)
			if failed = r.pause(begins + r.Herd.Calm); failed != nil {
				return
			}
			before = h.origin.Loads()
			if failed = strike(h); failed != nil {
				return
			}
			failed = errors.Join(r.pause(r.Herd.Fault), relent(h))
		}()
		got, err := h.drive(t, r.Herd.Calm+r.Herd.Fault+r.Herd.Recovery)
		<-acts
		if err = errors.Join(failed, err); err != nil {
			return err
		}
		r.saw(got)
		r.put(fUtilised, 100*float64(before.All)/r.Herd.Calm.Seconds()/bears)
		r.put(fOffered, h.origin.Loads().Excess())
		r.put(fWrong, float64(got.Wrong))
		r.judgeSeconds(got.Seconds)
		return nil
	})
}

// judgeSeconds finds how bad it was, and when it was good again for good.
func (r *run) judgeSeconds(seconds []second) {
	calm, end := int(r.Herd.Calm/time.Second), int((r.Herd.Calm+r.Herd.Fault)/time.Second)
	var before second
	for _, s := range seconds[:calm] {
		before.add(s)
	}
	r.put(fCalmGood, 100*before.good())
	for _, c := range []struct {
		worst, regained string
		good            func(*second) float64
	}{{fWorst, fGoodput, (*second).good}, {fWorstNew, fGoodFresh, (*second).goodFresh}} {
		worst, last := 1.0, 0
		for i := calm; i < len(seconds); i++ {
			g := c.good(&seconds[i])
			worst = min(worst, g)
			if g < goodput && i >= end {
				last = i + 1 - end
			}
		}
		r.put(c.worst, 100*worst)
		r.put(c.regained, float64(last))
	}
}
