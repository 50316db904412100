package versus

import (
	"context"
	"time"

	"github.com/memherd/memherd/bench/internal/pace"
)

// gate lets the goroutines of a slot through one after the other, Every apart. A nil one lets everybody through.
type gate struct {
	pace *pace.Pace
	end  time.Time
}

// gate makes the gate of a slot that starts now. The first goes through after Every, so that the slots of a comparison
// keep the bound together, too.
func (s Slot) gate(start time.Time) *gate {
	if s.Every <= 0 {
		return nil
	}
	return &gate{pace.New(start, s.Every, s.Every), start.Add(s.Length)}
}

// pass waits for a turn. It reports false, without waiting, if that would come after the slot's end: only the first of
// all is taken nevertheless, lest a slot on a machine that is late be empty.
func (g *gate) pass(ctx context.Context) bool {
	if g == nil {
		return true
	}
	at, first := g.pace.Turn(time.Now())
	if at.After(g.end) && !first {
		return false
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	return pace.Until(ctx, timer, at) == nil
}
