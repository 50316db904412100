package loader

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// gateCut is what is left of the limit after a sign of overload.
	gateCut = 0.7
	// gateQuiet is the least time between two cuts: loads that began before the
	// first tell nothing of what it has done.
	gateQuiet = 100 * time.Millisecond
)

// gate lets so many loads run at once, in order of arrival. With a floor below its
// ceiling it finds out by itself how many the origin bears: the limit rises by one when
// as many loads have gone well as it allows, while they use it, and falls to gateCut of itself when one fails
// or is slow (additive increase, multiplicative decrease).
//
// What is slow is said by the user. A limit learned from what loads usually take drifts: an overload that
// builds up slowly, or is there from the start, becomes what is usual.
type gate struct {
	floor, ceiling int
	slow           time.Duration
	moved          func(from, to int) // told of a new limit, without the lock; may be nil

	mu      sync.Mutex // guards what follows
	limit   float64
	used    int
	queue   list.List // of chan struct{}, closed when the turn has come
	lastCut time.Time
}

func newGate(floor, ceiling int, slow time.Duration, moved func(from, to int)) *gate {
	return &gate{floor: floor, ceiling: ceiling, slow: slow, limit: float64(ceiling), moved: moved}
}

// enter waits for a slot; the error is ctx's.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.free() {
		g.used++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	at := g.queue.PushBack(turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // at the last moment: it goes to the next
		g.used--
		g.admit()
	default:
		g.queue.Remove(at)
	}
	return ctx.Err()
}

// tryEnter takes a slot if one is free and nobody waits for it.
func (g *gate) tryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.free() {
		return false
	}
	g.used++
	return true
}

// free is whether who comes now may enter. The caller holds g.mu, as of the next two.
func (g *gate) free() bool { return g.used < int(g.limit) && g.queue.Len() == 0 }

// admit gives free slots to those who wait longest.
func (g *gate) admit() {
	for g.used < int(g.limit) && g.queue.Len() > 0 {
		turn, _ := g.queue.Remove(g.queue.Front()).(chan struct{})
		g.used++
		close(turn)
	}
}

func (g *gate) cut(now time.Time) {
	if g.floor < g.ceiling && now.Sub(g.lastCut) >= gateQuiet {
		g.limit, g.lastCut = max(g.limit*gateCut, float64(g.floor)), now
	}
}

// leave gives the slot of a load back that took so long, and failed or not.
func (g *gate) leave(took time.Duration, failed bool) {
	g.change(func(now time.Time) {
		switch {
		case failed || took > g.slow:
			g.cut(now)
		case float64(2*g.used) >= g.limit:
			g.limit = min(g.limit+1/g.limit, float64(g.ceiling))
		}
		g.used--
		g.admit()
	})
}

// skip gives a slot back in which nothing was done.
func (g *gate) skip() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used--
	g.admit()
}

// hangs tells of a load that did not come back in its time; its slot is still used.
func (g *gate) hangs() { g.change(g.cut) }

// change runs fn under the lock and tells if the limit is another after it.
func (g *gate) change(fn func(now time.Time)) {
	g.mu.Lock()
	from := int(g.limit)
	fn(time.Now())
	to := int(g.limit)
	g.mu.Unlock()
	if from != to && g.moved != nil {
		g.moved(from, to)
	}
}

// now returns the limit.
func (g *gate) now() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.limit)
}
