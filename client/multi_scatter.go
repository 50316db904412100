package client

import (
	"context"
	"math/rand/v2"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
)

// GetMulti asks suffix copies (scatter.go) beside its first round: the keys that it asks them for are closed to that, and open again for the
// next one, which asks their own copies, if nothing came of it. So a scattered key costs a call no round more unless its suffix copy is missing.

// suffixAsk is the ask at i, put to a suffix copy.
type suffixAsk struct {
	i    int32
	copy *suffixCopy
}

// suffixBurst is what one node is asked for.
type suffixBurst struct {
	flight
	asks []suffixAsk
}

// askSuffixes sends the asks that suffix copies should answer on their way.
func (g *multiGet) askSuffixes(ctx context.Context) []suffixBurst {
	// A token is one of the key's own copies.
	if g.tokens || g.c.scattering.keys.Load() == nil {
		return nil
	}
	var bursts []suffixBurst
	at := map[*node]int{}
	for i := range g.asks {
		a := &g.asks[i]
		if !a.open {
			continue // memory has served it
		}
		p, n := g.c.chooseSuffix(a.hash, a.key)
		if p == nil {
			continue
		}
		b, ok := at[n]
		if !ok {
			b, at[n] = len(bursts), len(bursts)
			bursts = append(bursts, suffixBurst{flight: flight{n: n}})
		}
		bursts[b].asks = append(bursts[b].asks, suffixAsk{int32(i), p})
		a.open = false
	}
	for i := range bursts {
		b := &bursts[i]
		k := b.n.newCall()
		k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Flags: g.flags()}
		for _, s := range b.asks {
			k.AskMeta(s.copy.key, setKey)
		}
		if ctx.Done() != nil {
			k.Settler = lateRead{}
		}
		b.flight = b.n.launchRead(ctx, g.op, k)
	}
	return bursts
}

// takeSuffixes waits for the answers, and opens the asks again that have none. It reports whether there are any.
func (g *multiGet) takeSuffixes(ctx context.Context, bursts []suffixBurst) (reopened bool) {
	var missing []suffixAsk
	for i := range bursts {
		b := &bursts[i]
		if _, err := b.wait(ctx); err != nil {
			for _, s := range b.asks {
				g.asks[s.i].open, reopened = true, true
			}
			continue
		}
		answers := b.call.Answers()
		for j, s := range b.asks {
			a := &answers[j]
			if a.Resp.Flags.Has(memproto.FlagW) {
				g.c.handBack(ctx, &b.flight, a, s.copy.key)
			}
			if g.takeSuffix(a, s.i) {
				g.c.counters.scattered.Add(1)
				continue
			}
			g.asks[s.i].open, reopened = true, true
			if a.Resp.Status == memproto.StatusEN {
				missing = append(missing, s)
			}
		}
		b.call.Free()
	}
	// One that was missed is filled, and no more: that takes three requests in turn, and the next call fills the next.
	if len(missing) > 0 && g.c.retriable(ctx) {
		s := missing[rand.IntN(len(missing))]
		q := &g.asks[s.i]
		if n := g.c.home(g.t, s.copy.hash, s.copy.key); n != nil {
			if a, ok := g.c.fillScattered(ctx, g.op, n, s.copy, q.hash, q.key); ok {
				q.open = !g.takeSuffix(&a, s.i)
			}
		}
	}
	return reopened
}

// takeSuffix takes an answer that brought a value.
func (g *multiGet) takeSuffix(a *pipe.Answer, i int32) bool {
	if !valid(a) {
		return false
	}
	q := &g.asks[i]
	g.hits++
	g.c.detector.Observe(q.hash, q.key, len(a.Value))
	g.found = itemOf(q.key, a)
	g.found.TTL, g.found.CAS = 0, 0 // those of the suffix copy
	g.give(&g.found)
	return true
}
