package nodeserver

import (
	"bytes"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

const (
	// readBuf is what a connection starts with: enough for a batch of small commands
	// in one read, little enough for a thousand idle connections.
	readBuf = 8 << 10
	// keepBuf is the largest buffer kept for the next batch.
	keepBuf = 64 << 10
	// flushAt is how many bytes of replies are gathered before they are written even
	// though more commands wait.
	flushAt = 64 << 10
)

// conn is one client. Its goroutine alone touches the fields without a comment.
type conn struct {
	srv         *Server
	id          uint64
	peer, local net.Addr
	out         output
	// wire guards changes of nc and host against who aborts or drains the connection. nc
	// is nil while host serves it.
	wire    sync.Mutex
	nc      net.Conn
	host    host
	aborted atomic.Bool

	rbuf []byte // rbuf[r:w] is read and not yet executed
	r, w int
	// need is how many bytes the command at r has with its data block; parsing waits
	// for them. 0 when that is not known yet.
	need int
	// scanned is how many bytes at r are known to hold no line end.
	scanned int
	// swallow is how much of a refused data block has yet to be passed over, and
	// refusal what is answered then ("" for nothing).
	swallow int
	refusal string
	// skipBlank: a data block that was too short has taken in the start of a command
	// line; should nothing but its line end be left, that is no command.
	skipBlank bool

	now    uint32 // second of the node's clock, read once per batch
	req    memproto.Request
	keyBuf [memproto.MaxKeyLen]byte
	encKey [memproto.MaxEncodedKeyLen]byte
	quit   bool // close once the replies so far are sent
	// quitAfter: quit when swallow is done.
	quitAfter bool

	authenticated bool
	authFailures  int

	// more: a turn is over, and whole commands may be left; see Config.TurnCommands.
	more bool

	// ignore: this is a watcher; what it sends is not looked at.
	ignore   bool
	watching watchKind // guarded by srv.mu
	mayWatch bool      // it counts as a watcher; guarded by srv.mu

	state    atomic.Uint32 // connState, for stats conns
	lastCmd  atomic.Uint32 // second of the last batch
	draining atomic.Bool   // set by Shutdown

	// read and written count bytes for stats, each connection its own: a common counter
	// would travel between processors with every request.
	read, written atomic.Uint64

	// reserved is how much of the server's pending is this connection's.
	reserved int
	// waitSince is the Unix time in nanoseconds since when half a command is here, 0 for
	// none, and waitBody how many bytes of it, if it is in its data block: see slow.
	waitSince, waitBody atomic.Int64
}

// connState is what stats conns shows, in memcached's words.
type connState uint32

const (
	stateRead connState = iota
	stateParse
	stateNread
	stateSwallow
	stateClosing
)

var stateNames = [...]string{"conn_read", "conn_parse_cmd", "conn_nread", "conn_swallow", "conn_closing"}

func newConn(s *Server, nc net.Conn, id uint64) *conn {
	c := &conn{srv: s, id: id, peer: nc.RemoteAddr(), local: nc.LocalAddr(), authenticated: s.door.Load() == nil}
	c.own(nc)
	c.lastCmd.Store(s.clock.sec())
	return c
}

var aLongTimeAgo = time.Unix(1, 0)

// finish ends the connection, from the goroutine that serves it.
func (c *conn) finish() {
	c.state.Store(uint32(stateClosing))
	c.out.finish()
	c.nc.Close()
	c.release()
	c.srv.forget(c)
}

// serve runs until the peer leaves, says quit, or is thrown out.
func (c *conn) serve() {
	defer c.finish()
	if c.rbuf == nil {
		c.rbuf = make([]byte, readBuf)
	}
	for {
		if c.more { // what has been read is answered, even when the server stops
			runtime.Gosched()
			if !c.received(0) {
				return
			}
			continue
		}
		if c.draining.Load() {
			return
		}
		if idle := c.srv.cfg.IdleTimeout; idle > 0 {
			var end time.Time // none for a watcher, which has nothing to say
			if !c.ignore {
				end = time.Now().Add(idle)
			}
			c.nc.SetReadDeadline(end)
			if c.draining.Load() { // drain's deadline may just have been overwritten
				return
			}
		}
		if !c.room() {
			if c.quit {
				return
			}
			continue // what could not be kept is passed over from now on
		}
		c.partial()
		n, err := c.nc.Read(c.rbuf[c.w:])
		if n > 0 && !c.received(n) {
			return
		}
		if err != nil {
			return
		}
	}
}

// received executes what n more bytes behind rbuf[:w] complete, and answers it. False: the
// connection is to be closed.
func (c *conn) received(n int) bool {
	c.w += n
	c.now = c.srv.clock.sec()
	if c.state.Load() != uint32(stateParse) { // a store would cost more than this look
		c.state.Store(uint32(stateParse))
	}
	if c.lastCmd.Load() != c.now {
		c.lastCmd.Store(c.now)
	}
	c.read.Add(uint64(n))
	c.process()
	return !c.quit && c.out.flush()
}

// room makes space for the next read. The buffer doubles only when it is full, so it
// grows with bytes that came, not with lengths that were announced. False: there is no
// memory for a data block, which is refused instead.
func (c *conn) room() bool {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
		if len(c.rbuf) > keepBuf {
			c.rbuf = make([]byte, keepBuf)
			c.req = memproto.Request{} // it lies in the old buffer and would keep it
			c.release()
		}
	case c.w == len(c.rbuf) && c.r > 0 || c.need > len(c.rbuf)-c.r && c.r > 0:
		c.w = copy(c.rbuf, c.rbuf[c.r:c.w])
		c.r = 0
	}
	if c.w < len(c.rbuf) {
		return true
	}
	size := 2 * len(c.rbuf)
	if c.need > 0 {
		size = min(size, max(c.need, keepBuf))
	}
	size = max(size, c.w+1)
	if c.need > 0 && size > keepBuf && !c.reserve(size-max(len(c.rbuf), keepBuf)) {
		c.refusePending()
		return false
	}
	bigger := make([]byte, size)
	copy(bigger, c.rbuf[:c.w])
	c.rbuf = bigger
	return true
}

// refusePending gives up on the data block at the front of the buffer, for which there is
// no memory: what has come of it is dropped, and the rest is passed over as it comes.
func (c *conn) refusePending() {
	_, err := memproto.DecodeRequest(c.rbuf[c.r:c.w], &c.srv.limits, &c.req)
	if err != nil || !c.authenticated { // it was understood before
		c.quit = true
		return
	}
	c.srv.store.Count(store.StoreNoMemory)
	c.swallow, c.refusal = c.need-(c.w-c.r), outOfMemory
	if c.req.NoReply {
		c.refusal = ""
	}
	c.need, c.r, c.w = 0, 0, 0
	c.rbuf = make([]byte, readBuf)
	c.req = memproto.Request{} // its key lies in the old buffer and would keep it
	c.release()
}

// process executes every whole command in the buffer. What it leaves there is half a
// command.
func (c *conn) process() {
	c.more = false
	for n := 1; c.r < c.w && !c.quit; n++ {
		if n == c.srv.turn {
			c.more = true
			c.srv.stats.yields.Add(1)
			return
		}
		if c.ignore {
			c.r = c.w
			return
		}
		if !c.authenticated {
			if !c.login() {
				return
			}
			continue
		}
		if c.swallow > 0 {
			n := min(c.swallow, c.w-c.r)
			c.r += n
			if c.swallow -= n; c.swallow > 0 {
				c.state.Store(uint32(stateSwallow))
				return
			}
			c.line(c.refusal)
			c.quit = c.quitAfter
			continue
		}
		if c.skipBlank && !c.blank() {
			return
		}
		buf := c.rbuf[c.r:c.w]
		if len(buf) == 0 || len(buf) < c.need || !c.mayHoldLine(buf) {
			return
		}
		n, err := memproto.DecodeRequest(buf, &c.srv.limits, &c.req)
		if err != nil {
			if err == memproto.ErrIncomplete {
				c.scanned = len(buf)
				return
			}
			c.refuse(n, err.(memproto.RequestError))
			continue
		}
		c.scanned = 0
		if c.req.BodyLen >= 0 && !c.body(buf, n) {
			return
		}
		if c.req.BodyLen < 0 {
			c.r += n
			c.execute()
		}
		if len(c.out.buf) > flushAt && !c.out.flush() {
			c.quit = true
		}
	}
	if c.r == c.w && len(c.rbuf) < keepBuf && c.w == len(c.rbuf) && c.swallow == 0 {
		// A read filled the buffer: this peer sends big batches.
		c.rbuf, c.r, c.w = make([]byte, min(4*len(c.rbuf), keepBuf)), 0, 0
	}
}

// blank passes over a line end at the front of the buffer; false means that it cannot
// be told yet.
func (c *conn) blank() bool {
	buf := c.rbuf[c.r:c.w]
	if buf[0] == '\r' && len(buf) == 1 {
		return false
	}
	c.skipBlank = false
	switch {
	case buf[0] == '\n':
		c.r++
	case buf[0] == '\r' && buf[1] == '\n':
		c.r += 2
	}
	return true
}

// badChunk answers a data block that does not end where its length said.
func (c *conn) badChunk(block []byte) {
	c.skipBlank = bytes.IndexByte(block, '\n') >= 0
	c.reply("CLIENT_ERROR bad data chunk")
}

// mayHoldLine spares long unfinished lines that trickle in from being searched from
// their start each time.
func (c *conn) mayHoldLine(buf []byte) bool {
	const worthwhile = 4 << 10
	if c.scanned < worthwhile || len(buf)-c.scanned >= worthwhile {
		return true
	}
	return bytes.IndexByte(buf[c.scanned:], '\n') >= 0
}

// refuse answers a bad line of n bytes.
func (c *conn) refuse(n int, e memproto.RequestError) {
	c.scanned = 0
	c.r += n
	if e.Close() {
		c.quit = true
		return
	}
	if e == memproto.ReqUnknown && c.req.Args != nil && c.ownCommand(c.req.Args) {
		return
	}
	if e == memproto.ReqTooLarge {
		c.tooLarge()
		return
	}
	c.refuseBody(e.Reply())
}

// refuseBody answers with an error line, after having passed over the data block if
// there is one.
func (c *conn) refuseBody(reply string) {
	if c.req.NoReply {
		reply = ""
	}
	if c.req.BodyLen >= 0 {
		c.swallow, c.refusal = min(c.req.BodyLen, maxSwallow)+len(crlf), reply
		c.quitAfter = c.req.BodyLen > maxSwallow
		return
	}
	c.line(reply)
}

const crlf = "\r\n"

// maxSwallow is how much of a refused data block is passed over to stay in step,
// memcached's largest possible item; a peer that announced more is answered and left.
const maxSwallow = 128 << 20

// body executes a storage command whose line of n bytes stands at the front of buf,
// once its data block has arrived; false means that it has not.
func (c *conn) body(buf []byte, n int) bool {
	r := &c.req
	key, _ := c.key()
	if !c.srv.store.Fits(len(key), r.ClientFlags, r.BodyLen) {
		c.r += n
		c.need = 0
		c.tooLarge()
		return true
	}
	total := n + r.BodyLen + len(crlf)
	if len(buf) < total {
		c.need = total
		c.state.Store(uint32(stateNread))
		return false
	}
	c.need = 0
	c.r += total
	r.Value = buf[n : total-len(crlf)]
	if string(buf[total-len(crlf):total]) != crlf {
		c.badChunk(buf[n:total])
		return true
	}
	c.execute()
	return true
}
