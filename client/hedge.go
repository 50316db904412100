package client

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// A hedge is a second request for a read that takes much longer than most: it asks the key's
// next copy, and what comes first is taken (Dean and Barroso, "The Tail at Scale", 2013). It
// never asks for a lease; a miss there is no miss, and the answer of the home copy is
// waited for (consistency rules 6 and 12).
//
// The pipe gives a reply to who waits for it, or, when that one has left, to its Settler. So a
// caller whose patience has ended leaves, and is told both answers by settlers of its own. When it has
// one that will do, it says so, and a lease that the home copy grants after that is given back.

// HedgeAuto as Config.HedgeAfter hedges the slowest reads, as measured from second to second.
const HedgeAuto time.Duration = -1

const (
	// hedgeShare of the reads may be hedged in the long run, and hedgeBurst saved up.
	hedgeShare = 0.05
	hedgeBurst = 64
	// hedgeLeast is the shortest wait before a hedge: below it what differs is the scheduler.
	hedgeLeast = time.Millisecond
	// hedgeFactor is how many times the 95th percentile of the last second HedgeAuto waits.
	hedgeFactor = 2
)

// hedging is how a client hedges: within a budget, after a while.
type hedging struct {
	budget budget
	after  atomic.Int64 // nanoseconds to wait before a hedge, 0 for never
}

// pace sets how long to wait by how long the replies of the last second took.
func (h *hedging) pace(took []time.Duration) {
	if len(took) > 0 {
		slices.Sort(took)
		h.after.Store(int64(max(hedgeLeast, hedgeFactor*took[(len(took)-1)*95/100])))
	}
}

// answerBox is where the answer to a call arrives whose caller has stopped waiting in the pipe.
type answerBox struct {
	mu     sync.Mutex // guards left, and orders Settle before or after leave
	left   bool       // nobody looks into the box any more
	late   pipe.Settler
	of     int // put on what arrives: several boxes may share the channel
	answer chan boxed
}

type boxed struct {
	pipe.Answer
	many []pipe.Answer // of a burst
	of   int
	err  error
	sent item.Sent
}

// Settle puts the answer into the box, or treats it as that of any call whose caller has left.
func (b *answerBox) Settle(conn *pipe.Conn, k *pipe.Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left {
		if b.late != nil {
			b.late.Settle(conn, k)
		}
		return
	}
	a := boxed{Answer: k.Answer, many: slices.Clone(k.Answers()), of: b.of, err: k.Err, sent: k.Sent}
	a.Value = slices.Clone(k.Value)
	b.answer <- a
}

// leave ends the box. An answer that is there already is returned.
func (b *answerBox) leave() (a boxed, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = true
	select {
	case a = <-b.answer:
		return a, true
	default:
		return a, false
	}
}

// hedgedWait is flight.wait for a read of a copy that may be hedged on second. It returns the
// flight whose answer came first: f itself, or one on second that holds a sound value.
func (c *Client) hedgedWait(ctx context.Context, f flight, second *node, key string, o *readOptions) (flight, bool, error) {
	if f.err != nil {
		return f, false, f.err
	}
	box := &answerBox{late: o.settler(), answer: make(chan boxed, 1)}
	f.call.Settler, f.call.SettleKey = box, key
	soft, cancel := context.WithTimeout(ctx, time.Duration(c.hedging.after.Load()))
	defer cancel()
	if f.conn.Wait(soft, f.call) {
		left, err := f.landed(ctx)
		return f, left, err
	}
	f.call = nil
	var hedge *answerBox
	if ctx.Err() == nil && c.hedging.budget.spend(c.reads()) {
		hedge = &answerBox{late: lateRead{}, answer: make(chan boxed, 1)}
	}
	g := flight{n: second, op: f.op}
	if hedge == nil || !g.post(ctx, key, hedge) {
		hedge = &answerBox{answer: nil} // nothing will come
	} else {
		c.counters.hedged.Add(1)
	}
	for {
		select {
		case a := <-box.answer:
			if b, there := hedge.leave(); there && b.err == nil && b.Resp.Flags.Has(memproto.FlagW) {
				c.handBack(ctx, &g, &b.Answer, key)
			}
			return f.boxed(a)
		case a := <-hedge.answer:
			if a.err == nil && a.Resp.Flags.Has(memproto.FlagW) {
				c.handBack(ctx, &g, &a.Answer, key)
			}
			if a.err != nil || !valid(&a.Answer) {
				hedge.answer = nil
				continue // the home copy has the word
			}
			if first, there := box.leave(); there {
				return f.boxed(first)
			}
			c.counters.hedgesWon.Add(1)
			return g.boxed(a)
		case <-ctx.Done():
			if b, there := hedge.leave(); there && b.err == nil && b.Resp.Flags.Has(memproto.FlagW) {
				c.handBack(ctx, &g, &b.Answer, key)
			}
			if a, there := box.leave(); there {
				return f.boxed(a)
			}
			f.err = &item.Error{Op: f.op, Node: f.n.Name, Sent: item.SentUnknown, Err: ctx.Err()}
			return f, true, f.err
		}
	}
}

// boxed is landed for an answer out of a box: the call holds it as if it had been waited for.
func (f flight) boxed(a boxed) (flight, bool, error) {
	f.call = f.n.newCall()
	f.call.Answer, f.call.Err, f.call.Sent, f.late = a.Answer, a.err, a.sent, true
	left, err := f.landed(context.Background())
	return f, left, err
}

// post sends a plain read of key for which nobody waits in the pipe.
func (f *flight) post(ctx context.Context, key string, box *answerBox) bool {
	if f.n.busy() || !f.n.connected() {
		return false
	}
	conn, err := f.n.conn(ctx, 0)
	if err != nil || f.n.barred() {
		return false
	}
	f.conn, f.life = conn, conn.Stamp()
	k := conn.NewCall()
	k.Req = readRequest(key)
	k.Settler, k.SettleKey = box, key
	return conn.Post(k)
}

// second is the copy on which a read of key from copies[i] may be hedged, nil if none.
func (c *Client) second(t *topology, hash uint64, key string, copies []*node, i int, o *readOptions) *node {
	if !o.hedge || c.hedging.after.Load() == 0 {
		return nil
	}
	if c.cold.nodes.Load() > 0 && t.lacks(hash, copies[i]) {
		return nil
	}
	for _, n := range copies[i+1:] {
		if !n.slow.Load() && c.mayAsk(t, n, hash, key) {
			return n
		}
	}
	return nil
}
