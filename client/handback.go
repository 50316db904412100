package client

import (
	"context"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Whoever wins the right to fill (W) without wanting to load gives it back at once
// (consistency rule 6): otherwise every other reader waits until the lease runs out.
// On a stub that is a delete under its token; on a value marked stale it is the mark
// again under its token, which clears the "token given out" bit and keeps the value.

// handBackRequest builds the request that returns a win.
func handBackRequest(key string, cas uint64, stub bool) memproto.Request {
	r := deleteRequest(key)
	r.Flags |= memproto.FlagC
	r.CAS = cas
	if !stub {
		r.Flags |= memproto.FlagI
	}
	return r
}

// handBack returns the win that a plain read has drawn by accident: another program
// marked the item stale. The reply may not carry the token, so it is asked for first;
// a change in between makes the token miss, and does no harm.
func (c *Client) handBack(ctx context.Context, f *flight, a *pipe.Answer, key string) {
	conn, cas, stub := f.conn, a.Resp.CAS, isStub(a)
	if !a.Resp.HasCAS {
		k := f.n.newCall()
		k.Req, k.Apart = tokenRequest(key), true // callers may have taken all places since the win was drawn
		k.Settler, k.SettleKey = lateHandBack{}, key
		g := f.n.launch(ctx, f.op, k)
		if _, err := g.wait(ctx); err != nil {
			return
		}
		conn, cas, stub = g.conn, g.call.Resp.CAS, g.call.Resp.Size == 0 && g.call.Resp.ClientFlags == 0
		ok := g.call.Resp.Status == memproto.StatusHD && g.call.Resp.HasCAS
		g.call.Free()
		if !ok {
			return
		}
	}
	postHandBack(conn, key, cas, stub)
}

// tokenRequest asks for the token of an item whose win came without it.
func tokenRequest(key string) memproto.Request {
	r := memproto.Request{Cmd: memproto.CmdMetaGet, Flags: memproto.FlagLc | memproto.FlagLf | memproto.FlagLs}
	setKey(&r, key)
	return r
}

// postHandBack gives a win back without waiting for the answer. A stub whose connection is dead, or dies before it has answered, is an
// orphan.
func postHandBack(conn *pipe.Conn, key string, cas uint64, stub bool) {
	k := conn.NewCall()
	k.Req = handBackRequest(key, cas, stub)
	if stub {
		k.Settler, k.SettleKey = handedBack{}, key
	}
	if !conn.Post(k) && stub {
		nodeOf(conn).orphan(key, cas)
	}
}

// handedBack learns whether a stub that was given back is gone.
type handedBack struct{}

func (handedBack) Settle(conn *pipe.Conn, k *pipe.Call) {
	if k.Err != nil {
		nodeOf(conn).orphan(k.SettleKey, k.Req.CAS)
	}
}

// nodeOf is the node a connection belongs to.
func nodeOf(conn *pipe.Conn) *node { return conn.Owner().(*node) }

// lateHandBack goes on with handBack when its caller has left between its two steps.
type lateHandBack struct{}

func (lateHandBack) Settle(conn *pipe.Conn, k *pipe.Call) {
	if k.Err == nil && k.Resp.Status == memproto.StatusHD && k.Resp.HasCAS {
		postHandBack(conn, k.SettleKey, k.Resp.CAS, k.Resp.Size == 0 && k.Resp.ClientFlags == 0)
	}
}

// lateLease is the Settler of requests that may win a lease: if the caller has left
// when the win arrives, it is given back on the same connection by whoever reads it.
type lateLease struct{}

func (lateLease) Settle(conn *pipe.Conn, k *pipe.Call) {
	n := nodeOf(conn)
	if k.Err != nil && k.Sent == item.SentUnknown && k.Req.Flags.Has(memproto.FlagN) {
		n.orphan(k.SettleKey, 0)
	}
	if k.Err != nil || !k.Resp.Flags.Has(memproto.FlagW) || !k.Resp.HasCAS {
		return
	}
	n.c.counters.late.Add(1)
	if tokenKind(&k.Answer) == item.TokenValue && k.Req.Flags.Has(memproto.FlagR) {
		postUnmark(conn, itemOf(k.SettleKey, &k.Answer), k.Resp.CAS, conn.Time(k.SentAt()))
		return
	}
	postHandBack(conn, k.SettleKey, k.Resp.CAS, tokenKind(&k.Answer) == item.TokenStub)
}

// lateRead is the Settler of plain reads: they draw the win of an item that another
// program marked stale even if their caller has left, and so it is handed back by
// whoever reads it.
type lateRead struct{}

func (lateRead) Settle(conn *pipe.Conn, k *pipe.Call) {
	if k.Err != nil {
		return
	}
	keys, answers := k.Asked(), k.Answers()
	if keys == nil {
		settleRead(conn, &k.Answer, k.SettleKey)
	}
	for i, key := range keys {
		settleRead(conn, &answers[i], key)
	}
}

func settleRead(conn *pipe.Conn, a *pipe.Answer, key string) {
	switch {
	case !a.Resp.Flags.Has(memproto.FlagW):
	case a.Resp.HasCAS:
		postHandBack(conn, key, a.Resp.CAS, tokenKind(a) == item.TokenStub)
	default:
		next := conn.NewCall()
		next.Req = tokenRequest(key)
		next.Settler, next.SettleKey = lateHandBack{}, key
		conn.Post(next)
	}
}

// tokenKind tells what a reply to a request with N shows: a stub, a stale value we
// may refresh, or an ordinary value.
func tokenKind(a *pipe.Answer) item.TokenKind {
	size := len(a.Value)
	if a.Resp.Flags.Has(memproto.FlagLs) {
		size = int(a.Resp.Size)
	}
	switch {
	case size == 0 && a.Resp.ClientFlags == 0:
		return item.TokenStub
	case a.Resp.Flags.Has(memproto.FlagX):
		return item.TokenStale
	}
	return item.TokenValue
}
