package pipe

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/memherd/memherd/client/internal/classic"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// States of a Call. A call leaves pending once, by a compare-and-swap, so that the
// reader who completes it and the caller who gives it up can't both own it.
const (
	statePending   uint32 = iota
	stateDone             // completed: the caller owns the Call
	stateAbandoned        // given up: the connection owns the Call
)

// signal is what a waiting caller is woken with.
type signal uint8

const (
	sigDone  signal = iota // the reply (or the failure) is in the Call
	sigRead                // you hold the reader's role now
	sigFlush               // you hold the flusher's role now
)

// Settler learns what became of a call whose caller left before the reply came. It
// is called exactly once for an abandoned call, with the call completed, from
// whichever goroutine reads the connection, without locks held; it must not block,
// but may Post calls on the connection.
type Settler interface {
	Settle(c *Conn, call *Call)
}

// Call is one request and the slot its reply will fill. Get one from a Pool, set
// Req (and Settler), Start it, Wait for it, read Resp, Value and Err, then Free it.
// An abandoned call (Wait returned false) belongs to the connection and must not be
// touched again.
type Call struct {
	// What reader and caller touch of every call comes first, packed into as few cache
	// lines as it fits: they are often on different processors, and each
	// line costs either of them a wait; and where a thousand callers wait, each line of their calls has left
	// the processor's cache when it is touched next.
	state   atomic.Uint32
	waiting atomic.Bool // the caller is parked in Wait and may be given a role; set by the caller, cleared under Conn.mu
	role    signal      // role given but not yet taken up, sigDone if none; guarded by Conn.mu
	cmd     memproto.Cmd
	opaqueN uint8    // the opaque's length; 0 for commands that carry none
	opaque  [13]byte // base 36 of the connection's sequence number
	// Borrow says that the caller copies Value and so needs no memory for it.
	Borrow bool
	// Share says of a meta get of a plain key for its value and client flags that the reply to a classic get will do. Start
	// takes it back where that can't be. Of the reply nothing else is told then, and it is Bare.
	Share bool
	// Classic is set by Start when the request was sent in classic words; the reply is
	// a meta reply nevertheless, without what such a server can't tell.
	Classic bool
	// Apart says that the call does not count as in flight: its owner's own calls take no place that a
	// caller could have, and are made when callers have taken all.
	Apart bool
	quiet bool // one of a batch, whose last call alone wakes the caller and counts as in flight
	// Sent says how far the request got, if there is an Err.
	Sent item.Sent
	// span is how many calls, from this one on, share a classic get; 0 if this is not the first of any. It is written under Conn.mu, before
	// the call is handed to a flusher, and read by the reader, who has seen under it that it was: see hasLeft.
	span   uint16
	wake   chan signal // capacity 2: a role and the completion may both be under way
	sentAt int64       // nanoseconds on the connection's clock
	offset int64       // where in the outgoing stream the request starts, or about there if it may share
	burst  *burst      // the keys, if they are many

	// Answer is the reply.
	Answer

	// Err is set when there was no valid reply.
	Err error
	// Settler is told the outcome if the caller leaves early. May be nil.
	Settler Settler
	// SettleKey is for the Settler alone: the key of the request as its caller knows it.
	SettleKey string
	// Under, if not 0, is the stamp that a connection must have to take the call: Start
	// fails with ErrStamp on any other.
	Under uint64
	pool  *Pool

	line []byte // the request's line as it goes out; the memory is kept from use to use
	own  []byte // memory for borrowed values, kept from use to use
	// Text is the text of an error line or of VERSION.
	Text string

	// Req is the request. Opaque is set by Start; the other byte slices must stay
	// unchanged until Start returns and are not kept.
	Req memproto.Request

	bulk []byte // the whole request, if its value is large, until it is queued
	// Stats are the lines of a stats reply, name and value by turns.
	Stats   []string
	classic classic.Exchange // with Classic: which replies are due
}

// Pool keeps finished Calls for reuse. The zero Pool is ready to use, and may be used
// concurrently. Its owner has one of its own rather than share one per process: a
// Call has a channel, and a channel made inside a testing/synctest bubble must not be
// used outside it.
type Pool struct {
	p    sync.Pool
	bufs sync.Pool // of *[]byte: memory for large requests

	bursts sync.Pool // of *burst
}

// buf returns memory for n bytes, of length 0.
func (p *Pool) buf(n int) []byte {
	if b, ok := p.bufs.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	// A power of two, so that values of about one size can use each other's.
	return make([]byte, 0, 1<<bits.Len(uint(n-1)))
}

func (p *Pool) putBuf(b []byte) { p.bufs.Put(&b) }

// New returns an empty Call.
func (p *Pool) New() *Call {
	if k, ok := p.p.Get().(*Call); ok {
		return k
	}
	return &Call{pool: p, wake: make(chan signal, 2)}
}

// keepOwn is the largest buffer for borrowed values that an unused Call keeps.
const keepOwn = 64 << 10

// room returns n bytes for a data block.
func (k *Call) room(n int) []byte {
	if k.Borrow && cap(k.own) >= n {
		return k.own[:n]
	}
	return make([]byte, n)
}

// Free gives a finished call back for reuse. The caller keeps Value,
// unless it was borrowed.
func (k *Call) Free() {
	if k.Borrow && cap(k.own) > keepOwn {
		k.own = nil
	}
	if k.Req.Cmd != memproto.CmdMetaGet || k.Classic || k.Err != nil || k.Resp.Status.IsError() {
		k.Text, k.Stats = "", nil
		if k.bulk != nil { // never queued
			k.pool.putBuf(k.bulk)
			k.bulk = nil
		}
	}
	k.Req.Reset()
	k.Resp = Reply{}
	if k.burst != nil {
		k.pool.putBurst(k.burst)
		k.burst = nil
	}
	if k.Share {
		k.Share = false
		k.span = 0
	}
	k.Borrow, k.Classic, k.Apart, k.quiet = false, false, false, false
	k.Settler, k.Value, k.Err = nil, nil, nil
	k.SettleKey = ""
	k.Under = 0
	k.Sent = item.SentUnknown
	k.waiting.Store(false)
	k.role, k.opaqueN = sigDone, 0
	k.state.Store(statePending)
	k.pool.p.Put(k)
}

// SentAt is when the request was queued, in nanoseconds on the clock Conn.Now reads.
func (k *Call) SentAt() int64 { return k.sentAt }

// storing reports whether the request may be refused with a SERVER_ERROR line of its
// own, because it makes the node allocate memory for an item.
func (k *Call) storing() bool {
	switch k.cmd {
	case memproto.CmdMetaSet, memproto.CmdMetaArith:
		return true
	case memproto.CmdMetaGet:
		return k.Req.Flags.Has(memproto.FlagN)
	}
	return false
}

// counts reports whether k counts as in flight.
func (k *Call) counts() bool { return !k.quiet && !k.Apart }
