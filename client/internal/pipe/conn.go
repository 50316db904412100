// Package pipe is one pipelined connection to a node, shared by all goroutines.
//
// The connection owns no goroutine: callers do the work. A caller appends its
// request under a short lock; who finds nobody flushing flushes for all; who finds
// nobody reading reads for all until its own reply is there, and then hands the
// reader's role to a caller that still waits. So many callers share one system
// call, and a lone caller is never woken by anybody.
//
// A caller that leaves (its context ended) gives up its slot, not the connection:
// whoever reads next consumes the late reply, and the call's Settler learns the
// outcome. Replies are matched to requests by order and by the opaque token; a reply
// that fits neither kills the connection. Reads that may be asked for together have one token
// for all: see share.go, burst.go and join.go.
package pipe

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Config is what a connection needs besides its socket.
type Config struct {
	// Timeout is how long the reply at the head may be due before the connection is
	// declared dead. Required.
	Timeout time.Duration
	// MaxValue bounds the data block of a reply that is kept, in bytes; 0 is memproto's default. What is longer, as
	// far as a node may hold it, is passed over, and its call alone fails, with item.ErrTooLarge.
	MaxValue int
	// Classic says that the server knows no meta commands: requests travel in classic
	// words (package classic).
	Classic bool
	// Go runs f on a goroutine that the owner joins before it is closed, or returns
	// false if the owner is closing. Required. It is used while replies of abandoned
	// calls are due and no caller is there to read them.
	Go func(f func()) bool
	// InFlight counts the calls under way on all connections that share it; nil is one
	// of this connection's own. Start refuses a call with item.ErrBusy that would be one
	// more than MaxInFlight; 0 is no limit. One exact count, because a sum over
	// connections counts a caller twice that goes from one to another meanwhile.
	InFlight    *atomic.Int64
	MaxInFlight int
	// Calls is where the owner's Calls come from. Required.
	Calls *Pool
	// Owner is what Owner returns, for Settlers. May be nil.
	Owner any
	// Stamp is the first value of Stamp.
	Stamp uint64
	// Without switches parts off, to measure what they cost. The zero value, all parts
	// on, is the only one for use.
	Without Parts
	// OnDoomed is called once when the connection has died, before any of its calls is
	// completed, with how many of them had perhaps been sent. It must not block. May be nil.
	OnDoomed func(c *Conn, unanswered int)
	// OnDead is called once when the connection has died, after its calls were
	// completed, with the cause. May be nil.
	OnDead func(c *Conn, cause error)
}

// Parts are what a connection does for safety besides carrying requests.
type Parts struct {
	Opaque  bool // a token in every request, compared with its reply's
	Overdue bool // the age of the oldest call, and the timer that looks at it
}

// Conn is a pipelined connection. Its methods may be called concurrently.
type Conn struct {
	nc      net.Conn
	rw      io.ReadWriter // reads and writes nc
	bye     io.Closer     // closes nc without waiting for the peer
	cfg     Config
	base    time.Time // origin of the connection's clock
	sock    *socket   // nil if nc is no plain socket
	brittle bool      // nc can't be written to any more after a write that timed out

	// pending counts calls started and not completed. Read without mu for choosing
	// among connections.
	pending atomic.Int64
	// queued is out.calls for whoever gathers: it looks often, and would be in the way of
	// those it waits for if it took the lock.
	queued atomic.Int32
	dead   atomic.Bool
	// hurried: the reader found bytes because it stayed awake in a busy process.
	hurried atomic.Bool
	company company
	few     int // fewKeys but in tests
	// congested: the write under way is a large one.
	congested atomic.Bool
	headSince atomic.Int64  // headSent, for Stalls
	replySize atomic.Int64  // moving average of the values in replies, in bytes
	seq       atomic.Uint64 // last opaque given out
	mark      atomic.Uint64 // see Stamp

	// mu guards everything down to the next blank comment. It is held for appends
	// and list work only, never across I/O. Order: mu is a leaf; no other lock is
	// taken under it.
	mu        sync.Mutex
	out       outbox            // what is queued and not yet given to a flusher
	stamp     int64             // the clock when the last write began, or the last call was queued alone
	lastBatch int               // calls completed by the last batch of replies
	took      [32]time.Duration // how long the oldest call of each of the last batches of replies took
	nTook     int               // batches since Took was asked
	flying    parcel            // what the flusher is writing; its own
	rest      parcel            // what an interrupted flusher did not get out; goes before out
	queue     []*Call
	started   uint64      // requests ever queued
	appended  int64       // bytes ever queued
	taken     int64       // bytes handed to a flusher: any of these may have left
	headAt    int64       // offset of the oldest pending call; meaningful while headSent is not 0
	flushing  bool        // somebody has the flusher's role
	reading   atomic.Bool // somebody has the reader's role; written under mu
	reader    *Call       // the call of the caller inside Read, nil if a drainer
	flusher   *Call       // the call of the caller inside Write
	abandoned int         // abandoned calls not yet completed
	headSent  int64       // sentAt of the oldest pending call; 0 when none
	armed     bool        // the overdue timer is running
	timerDue  int64
	headStep  int64 // steps when the oldest pending call was last looked at
	suspect   int64 // headStep when the timer looked last, plus 1
	rpoked    bool  // an interrupt moved the read deadline into the past
	wpoked    bool  // the same for the write deadline
	slow      bool  // the write under way may block
	cause     error // why the connection died
	timer     *time.Timer

	luck luck // the flusher's

	// What follows belongs to whoever has the reader's role.
	mine     []*Call  // calls taken off queue, in order
	sharing  int      // which of mine, counted from the head, a classic get that bursts share is being answered to
	readKeys [][]byte // memory for keys that the outbox may have back
	group    shared   // the classic get under way that single reads share
	steps    int64    // replies that have come, each key's of a burst
	mhead    int
	sent     int64 // taken, when the reader last looked
	rbuf     []byte
	r, w     int
	resp     memproto.Response
	lim      memproto.Limits
	ready    []*Call // completed, their owners not yet told
	served   bool    // a reply was completed
	inBody   bool
	passOver bool // the data block under way is longer than MaxValue and not kept
	body     []byte
	bodyAt   int
	since    int64 // the clock when the reader last looked for bytes that were not there
	patience patience
	sleeps   sleeps

	gosched func() // runtime.Gosched, but in tests
}

const (
	readBuffer = 32 << 10
	// directRead is the rest of a data block from which it is read straight into its
	// own memory rather than through rbuf.
	directRead = 16 << 10
	// firstBody is the most memory given to a data block before bytes of it arrive; there
	// is one at a time.
	firstBody = 256 << 10
	// longestItem is the longest value that any node holds: memcached's -I ends there. Who announces a longer one is no memcached.
	longestItem = 1 << 30
)

// New makes a connection of nc, which it owns from now on.
func New(nc net.Conn, cfg Config) *Conn {
	c := &Conn{
		nc: nc, cfg: cfg, base: time.Now(), sock: newSocket(nc),
		rbuf: make([]byte, readBuffer),
		lim:  memproto.Limits{MaxValue: max(cfg.MaxValue, longestItem)},
		bye:  nc,

		gosched: runtime.Gosched,
	}
	if c.cfg.MaxValue <= 0 {
		c.cfg.MaxValue = memproto.DefaultMaxReplyValue
	}
	c.few, c.out.least, c.out.token = fewKeys, minShared, c.opaque
	c.mark.Store(cfg.Stamp)
	if c.cfg.InFlight == nil {
		c.cfg.InFlight = new(atomic.Int64)
	}
	if tc, ok := nc.(*tls.Conn); ok {
		// TLS takes leave of its peer when it is closed, and waits 5 s for one that does
		// not listen; and a write that timed out is its last (both documented there).
		c.bye, c.brittle = tc.NetConn(), true
	}
	c.rw = nc
	if c.sock != nil {
		c.rw = c.sock
	}
	return c
}

// Owner is Config.Owner.
func (c *Conn) Owner() any { return c.cfg.Owner }

// Stamp is what the owner has marked the connection with; see Call.Under.
func (c *Conn) Stamp() uint64 { return c.mark.Load() }

// SetStamp marks the connection anew. Calls that were started before are not affected.
func (c *Conn) SetStamp(mark uint64) { c.mark.Store(mark) }

// NewCall returns an empty Call, for Settlers.
func (c *Conn) NewCall() *Call { return c.cfg.Calls.New() }

// Now is the connection's monotonic clock in nanoseconds; never 0.
func (c *Conn) Now() int64 { return int64(time.Since(c.base)) + 1 }

// Time converts a reading of Now.
func (c *Conn) Time(now int64) time.Time { return c.base.Add(time.Duration(now - 1)) }

// Pending is the number of calls started and not yet answered.
func (c *Conn) Pending() int { return int(c.pending.Load()) }

// Congested reports whether a large write is under way.
func (c *Conn) Congested() bool { return c.congested.Load() }

// stallsAfter is how long the oldest call may wait, at most and as a part of the Timeout, before others had better go elsewhere.
const (
	stallsAfter = 50 * time.Millisecond
	stallsPart  = 8
)

// Stalls reports whether the oldest call has waited for so long that further ones are better sent on another connection: the network
// may have lost a packet of this one, and nothing comes before it has been sent again.
func (c *Conn) Stalls() bool {
	since := c.headSince.Load()
	return since != 0 && time.Duration(c.Now()-since) > min(stallsAfter, c.cfg.Timeout/stallsPart)
}

// setHead takes down when the oldest pending call was sent, 0 if there is none, and where it begins. mu is held.
func (c *Conn) setHead(sentAt, offset int64) {
	c.headSent, c.headAt = sentAt, offset
	c.headSince.Store(sentAt)
}

// Took returns how long the latest replies took, and forgets them: of each batch of replies
// the oldest, of 32 batches at most.
func (c *Conn) Took() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(c.nTook, len(c.took))
	c.nTook = 0
	return slices.Clone(c.took[:n])
}

// ReplySize is about how many bytes of value the latest replies brought.
func (c *Conn) ReplySize() int { return int(c.replySize.Load()) }

// Started is the number of requests ever queued.
func (c *Conn) Started() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
}

// landed counts calls that are under way no more.
func (c *Conn) landed(ks []*Call) {
	counted, bytes, values := int64(0), int64(0), int64(0)
	for _, k := range ks {
		if k.counts() {
			counted++
		}
		bytes += int64(k.valueBytes())
		values += int64(k.weight())
	}
	if n := values; n > 0 {
		// Only whoever has the reader's role comes here.
		was := c.replySize.Load()
		if now := was + (bytes/n-was)/4; now != was {
			c.replySize.Store(now)
		}
	}
	c.pending.Add(-int64(len(ks)))
	c.cfg.InFlight.Add(-counted)
}

// Dead reports whether the connection can no longer be used.
func (c *Conn) Dead() bool { return c.dead.Load() }

// Served reports, to OnDead, whether the connection ever carried a reply: one that
// died without is a node that takes connections only to drop them.
func (c *Conn) Served() bool { return c.served }

// LocalAddr is the local address of the socket.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// Kill closes the connection. Its pending calls fail with cause.
func (c *Conn) Kill(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.dead.Store(true)
	// Whoever is inside Read or Write comes back with an error now.
	c.bye.Close()
	if c.reading.Load() {
		// The reader owns the calls it has taken; it fails them all.
		c.mu.Unlock()
		return
	}
	c.reading.Store(true)
	c.mu.Unlock()
	c.failAll()
}

// failAll completes every call with the cause of death. The caller has the reader's
// role and keeps it for ever: nobody reads a dead connection.
func (c *Conn) failAll() {
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.armed = true // never arm again
	c.queueHeld(c.appended)
	cause, taken := c.cause, c.taken
	all := append(c.mine[c.mhead:len(c.mine):len(c.mine)], c.queue...)
	c.mine, c.mhead, c.queue = nil, 0, nil
	c.headSent = 0
	c.mu.Unlock()
	if c.cfg.OnDoomed != nil {
		unanswered := 0
		for _, k := range all {
			if k.offset < taken {
				unanswered++
			}
		}
		c.cfg.OnDoomed(c, unanswered)
	}
	c.landed(all)
	for _, k := range all {
		k.Err = cause
		k.Sent = item.SentUnknown
		if k.offset >= taken {
			k.Sent = item.NotSent
		}
		c.finish(k, nil)
	}
	if c.cfg.OnDead != nil {
		c.cfg.OnDead(c, cause)
	}
}
