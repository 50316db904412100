package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/memproto"
)

// GetMulti hedges as Get does (hedge.go), one node's share at a time: when it has been waited for long
// enough, its keys are asked of their next copies, each as one burst to each node, and each key takes
// the value that comes first. What another copy does not have, the home copy is waited for. Every
// key that is asked twice counts against the budget. CAS tokens are the owner's alone, and nodes that
// take no bursts are waited for.

// secondAsk is a burst for keys of which this node has another copy.
type secondAsk struct {
	flight
	box  *answerBox
	asks share
}

// patience is the context that ends when the bursts under way have been waited for long enough, nil for never.
func (g *multiGet) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	after := g.c.hedging.after.Load()
	if after == 0 || g.tokens {
		return nil, func() {}
	}
	return context.WithTimeout(ctx, time.Duration(after))
}

// hedgedWait waits for f, whose patience soft is. True if its call is complete or has been given up, and is to be
// landed; false if its answers have been taken, from here or there.
func (g *multiGet) hedgedWait(ctx, soft context.Context, f *burstFlight) bool {
	box := &answerBox{late: lateRead{}, answer: make(chan boxed, 1)}
	f.call.Settler = box
	if f.conn.Wait(soft, f.call) {
		return true
	}
	f.call = nil
	seconds, answers := g.askSeconds(ctx, f)
	won := g.either(ctx, f, box, seconds, answers)
	// What is there is taken, or its wins are given back. The boxes share the channel: one that ends may bring another's answer.
	for i := range seconds {
		if a, there := seconds[i].box.leave(); there {
			g.second(ctx, &seconds[a.of], a)
		}
	}
	for len(answers) > 0 { // nothing more comes in
		a := <-answers
		g.second(ctx, &seconds[a.of], a)
	}
	return !won
}

// either takes the answers of f's box or of its seconds until every key of f has one. False if ctx ended before.
func (g *multiGet) either(ctx context.Context, f *burstFlight, box *answerBox, seconds []secondAsk, answers chan boxed) bool {
	for {
		select {
		case a := <-box.answer:
			g.first(ctx, f, a)
			return true
		case a := <-answers:
			g.second(ctx, &seconds[a.of], a)
			if g.anyOpen(f.asks) {
				continue // the home copy has the word
			}
			if a, there := box.leave(); there {
				g.first(ctx, f, a)
			}
			return true
		case <-ctx.Done():
			if a, there := box.leave(); there {
				g.first(ctx, f, a)
				return true
			}
			return false
		}
	}
}

func (g *multiGet) anyOpen(asks share) bool {
	for _, i := range asks {
		if g.asks[i].open {
			return true
		}
	}
	return false
}

// askSeconds asks the next copies of f's keys, as far as the budget goes. What they answer comes by the channel.
func (g *multiGet) askSeconds(ctx context.Context, f *burstFlight) ([]secondAsk, chan boxed) {
	if ctx.Err() != nil {
		return nil, nil
	}
	byNode := map[*node]share{}
	o := readOptions{hedge: true}
	var mem [maxCopies]*node
	for _, i := range f.asks {
		a := &g.asks[i]
		if a.next == 0 {
			continue // it was asked of another copy to begin with
		}
		n := g.c.second(g.t, a.hash, a.key, g.t.copies(a.hash, mem[:0]), a.next-1, &o)
		if n == nil || n.busy() || !n.connected() {
			continue
		}
		if !g.c.hedging.budget.spend(g.c.reads()) {
			break
		}
		byNode[n] = append(byNode[n], i)
	}
	answers := make(chan boxed, len(byNode))
	seconds := make([]secondAsk, 0, len(byNode))
	for n, asks := range byNode {
		s := secondAsk{flight: flight{n: n, op: g.op, late: true}, asks: asks, box: &answerBox{late: lateRead{}, of: len(seconds), answer: answers}}
		if s.postMany(ctx, g) {
			g.c.counters.hedged.Add(uint64(len(asks)))
			seconds = append(seconds, s)
		}
	}
	return seconds, answers
}

// postMany sends the burst of s, for which nobody waits in the pipe.
func (s *secondAsk) postMany(ctx context.Context, g *multiGet) bool {
	conn, err := s.n.conn(ctx, 0)
	if err != nil || s.n.barred() {
		return false
	}
	s.conn, s.life = conn, conn.Stamp()
	k := conn.NewCall()
	g.askFor(k, s.asks)
	k.Settler = s.box
	if !conn.Post(k) {
		return false
	}
	s.n.countAsked(len(s.asks))
	return true
}

// first takes what f's own node said, for the keys that are still open.
func (g *multiGet) first(ctx context.Context, f *burstFlight, a boxed) {
	late, _, err := f.boxed(a)
	if err != nil {
		g.lost(f, err)
		return
	}
	late.call.Free()
	g.at = time.Duration(f.conn.Now())
	for j, i := range f.asks {
		switch q := &g.asks[i]; {
		case q.open:
			g.answer(ctx, &late, &a.many[j], i)
		case a.many[j].Resp.Flags.Has(memproto.FlagW):
			g.c.handBack(ctx, &late, &a.many[j], q.key)
		}
	}
}

// second takes the values that another copy has of keys that are still open, and gives back what it has won of others.
func (g *multiGet) second(ctx context.Context, s *secondAsk, a boxed) {
	if a.err != nil {
		return
	}
	g.at = time.Duration(s.conn.Now())
	for j, i := range s.asks {
		switch q, answer := &g.asks[i], &a.many[j]; {
		case q.open && valid(answer):
			g.answer(ctx, &s.flight, answer, i)
			g.c.counters.hedgesWon.Add(1)
		case answer.Resp.Flags.Has(memproto.FlagW):
			g.c.handBack(ctx, &s.flight, answer, q.key)
		}
	}
}
