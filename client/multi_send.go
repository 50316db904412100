package client

import (
	"context"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
)

// launch sends a run of a node's share on its way as one burst.
func (g *multiGet) launch(ctx context.Context, n *node, asks share) {
	k := n.newCall()
	g.askFor(k, asks)
	if ctx.Done() != nil {
		k.Settler = lateRead{}
	}
	f, held := n.hold(g.op, k)
	if !held {
		g.flushHeld(ctx) // now, since this one may wait for a connection
		f = n.launchRead(ctx, g.op, k)
	}
	if f.err == pipe.ErrNoBurst {
		for _, i := range asks {
			g.plain = append(g.plain, target{n, int(i)})
		}
		return
	}
	g.flying = append(g.flying, burstFlight{f, asks})
	if !held {
		g.flushed = len(g.flying)
	}
}

// flushHeld sends the bursts that are held.
func (g *multiGet) flushHeld(ctx context.Context) {
	held := g.flying[g.flushed:]
	for i := range held {
		f := &held[i]
		f.conn.Flush(ctx, f.call, i == len(held)-1)
	}
	g.flushed = len(g.flying)
}

// askFor makes k the burst for asks, and brings these into the order in which they go out: the last are those
// that must be meta gets.
func (g *multiGet) askFor(k *pipe.Call, asks share) {
	k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Flags: g.flags()}
	plain := 0
	for j, i := range asks {
		if a := &g.asks[i]; g.c.plainRead(a.hash, a.key) {
			asks[plain], asks[j] = i, asks[plain]
			plain++
			k.Ask(a.key)
		}
	}
	for _, i := range asks[plain:] {
		k.AskMeta(g.asks[i].key, setKey)
	}
}

// plainRead reports whether a classic get will do for key: it may be no more than read.
// What goes to the near-cache must be known to be sound, and for how long.
func (c *Client) plainRead(hash uint64, key string) bool {
	if c.holds(c.detector.Level(hash, key)) {
		return false
	}
	return c.isPlain(key)
}

// hold queues a burst on a connection that n has, and sends nothing. False, with k as it was, if
// there is none, or if launchRead knows better.
func (n *node) hold(op string, k *pipe.Call) (f flight, ok bool) {
	conn := n.burstConn(len(k.Asked()))
	if conn == nil || !conn.Company() || n.barred() {
		return f, false
	}
	f = flight{n: n, call: k, op: op, life: conn.Stamp(), conn: conn}
	if conn.Hold(k) != nil {
		return flight{}, false
	}
	n.countAsked(len(k.Asked()))
	return f, true
}
