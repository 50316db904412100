package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// maxCopies is how many copies of a key fit into the arrays that calls keep on their
// stack; more work too, on the heap.
const maxCopies = 4

// flight is one request under way on one node.
type flight struct {
	n    *node
	conn *pipe.Conn
	call *pipe.Call // valid after wait returned nil; free it
	op   string
	life uint64 // the stamp of conn before the request was sent
	// late says that the answer did not come by the call it is in: that one knows no time of sending.
	late bool
	err  error
}

// launch sends k to n. A failure is kept for wait.
func (n *node) launch(ctx context.Context, op string, k *pipe.Call) flight {
	return n.send(ctx, op, k, false)
}

// launchRead is launch for a request whose answer depends on the value. That n may be read has been looked
// at before; but what it has missed is learned with its first connection, and if that was made meanwhile, for
// another caller, it is the next connection that we find here.
func (n *node) launchRead(ctx context.Context, op string, k *pipe.Call) flight {
	return n.send(ctx, op, k, true)
}

func (n *node) send(ctx context.Context, op string, k *pipe.Call, read bool) flight {
	f := flight{n: n, call: k, op: op}
	// A connection may die between being chosen and being used. Nothing was sent
	// then, so any operation may take the next one; the dial decides whether the
	// node is there at all.
	asks := max(1, len(k.Asked()))
	for try := 0; ; try++ {
		conn, err := n.conn(ctx, len(k.Req.Value))
		if err != nil {
			f.dialFailed(ctx, err)
			return f
		}
		if read && n.barred() {
			f.dialFailed(ctx, errMissing)
			return f
		}
		f.life = conn.Stamp()
		if err = conn.Start(ctx, k); err == nil {
			n.countAsked(asks)
			f.conn = conn
			return f
		}
		switch err {
		case item.ErrBusy:
			f.fail(item.NotSent, err)
			return f
		case pipe.ErrNoBurst:
			k.Free()
			f.call, f.err = nil, err
			return f
		case pipe.ErrStamp:
			// The token the request carries is of a life that is over.
			k.Free()
			f.call, f.err = nil, &item.Error{Op: op, Node: n.Name, Sent: item.NotSent, Err: item.ErrLeaseLost}
			return f
		}
		if try == 2 {
			f.fail(item.NotSent, asConnLost(err))
			return f
		}
	}
}

func (f *flight) dialFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		f.fail(item.NotSent, ctx.Err())
		return
	}
	if errors.Is(err, item.ErrClosed) || f.n.c.ctx.Err() != nil {
		f.fail(item.NotSent, item.ErrClosed)
		return
	}
	f.fail(item.NotSent, fmt.Errorf("%w: %w", item.ErrNodeDown, err))
}

// fail ends a flight that never took off.
func (f *flight) fail(sent item.Sent, err error) {
	f.call.Free()
	f.call = nil
	f.err = &item.Error{Op: f.op, Node: f.n.Name, Sent: sent, Err: err}
	if err != item.ErrTooLarge { // the node is not to blame for what somebody has stored there
		f.n.failures.Add(1)
	}
}

// wait returns nil when call holds a reply. On an error the call is gone. left is
// true if the caller's context ended while the request was under way: its outcome is
// the Settler's business.
func (f *flight) wait(ctx context.Context) (left bool, err error) {
	if f.err != nil {
		return false, f.err
	}
	if !f.conn.Wait(ctx, f.call) {
		f.call = nil
	}
	return f.landed(ctx)
}

// landed is wait for a flight whose call has been waited for; call is nil if it was
// abandoned.
func (f *flight) landed(ctx context.Context) (left bool, err error) {
	if f.call == nil {
		f.err = &item.Error{Op: f.op, Node: f.n.Name, Sent: item.SentUnknown, Err: ctx.Err()}
		return true, f.err
	}
	if err := f.call.Err; err != nil {
		f.fail(f.call.Sent, asConnLost(err))
		return false, f.err
	}
	return false, nil
}

// asConnLost makes every cause of a dead connection ErrConnLost to errors.Is as
// well, save the ones that say more.
func asConnLost(err error) error {
	for _, known := range []error{item.ErrConnLost, item.ErrTimeout, item.ErrClosed, item.ErrDesync, item.ErrServer, item.ErrTooLarge} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", item.ErrConnLost, err)
}

// refusal turns an error line that was the call's own answer into an error, nil if
// the reply is none.
func (f *flight) refusal() error {
	k := f.call
	if !k.Resp.Status.IsError() {
		return nil
	}
	cause := fmt.Errorf("%w: %s", item.ErrServer, k.Text)
	switch {
	case k.Resp.Status == memproto.StatusServerError && tooLargeText(k.Text):
		cause = item.ErrTooLarge
	case k.Resp.Status == memproto.StatusClientError && k.Req.Cmd == memproto.CmdMetaArith:
		return item.ErrNotNumber
	}
	return &item.Error{Op: f.op, Node: f.n.Name, Sent: item.Answered, Err: cause}
}

func tooLargeText(s string) bool { return s == "object too large for cache" }

// retriable reports whether a read that failed with err on one node may be asked
// elsewhere or again: it may unless the caller has left or the client is closed.
func (c *Client) retriable(ctx context.Context) bool {
	return ctx.Err() == nil && c.ctx.Err() == nil
}

// answered reports whether err is a node's own refusal, rather than a failure to
// reach it.
func answered(err error) bool {
	var e *item.Error
	return errors.As(err, &e) && e.Sent == item.Answered
}

// partly is err, made to tell that the operation was carried out elsewhere: whoever
// asks SafeToRetry must not hear that nothing was sent.
func partly(op string, err error) error {
	if !item.SafeToRetry(err) {
		return err
	}
	return errors.Join(&item.Error{Op: op, Err: item.ErrPartial}, err)
}

// flagsOut converts the caller's flags for the wire, flagsIn back.
func flagsOut(f uint32) uint32 {
	if f == 0 {
		return item.FlagZero
	}
	return f
}

func flagsIn(f uint32) uint32 {
	if f == item.FlagZero {
		return 0
	}
	return f
}

// valid reports whether a reply shows a value that is neither a stub nor marked stale.
func valid(a *pipe.Answer) bool {
	return a.Resp.Status == memproto.StatusVA && !isStub(a) && !a.Resp.Flags.Has(memproto.FlagX)
}

// sound reports whether a reply to a read with getFlags shows a value that may be stored
// elsewhere, and has enough of its life left for that.
func sound(a *pipe.Answer) bool {
	return valid(a) && a.Resp.Flags.Has(memproto.FlagLt) && (a.Resp.TTL < 0 || a.Resp.TTL > 1)
}

// isStub reports whether a reply with value and flags shows a lease stub rather than
// a value.
func isStub(a *pipe.Answer) bool {
	return a.Resp.Status == memproto.StatusVA && len(a.Value) == 0 && a.Resp.ClientFlags == 0
}
