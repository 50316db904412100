package nodeserver

import (
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// execute runs the decoded command, data block in req.Value, and appends its reply to
// the output.
func (c *conn) execute() {
	if c.srv.cfg.Intercept != nil && !c.intercept() {
		return
	}
	c.run()
}

func (c *conn) run() {
	r := &c.req
	switch r.Cmd {
	case memproto.CmdMetaGet:
		c.metaGet()
	case memproto.CmdMetaSet:
		c.metaSet()
	case memproto.CmdMetaDelete:
		c.metaDelete()
	case memproto.CmdMetaArith:
		c.metaArith()
	case memproto.CmdMetaDebug:
		c.metaDebug()
	case memproto.CmdMetaNoop:
		c.line("MN")
	case memproto.CmdGet, memproto.CmdGets, memproto.CmdGat, memproto.CmdGats:
		c.get()
	case memproto.CmdSet, memproto.CmdAdd, memproto.CmdReplace, memproto.CmdAppend,
		memproto.CmdPrepend, memproto.CmdCas:
		c.set()
	case memproto.CmdDelete:
		c.delete()
	case memproto.CmdIncr, memproto.CmdDecr:
		c.arith()
	case memproto.CmdTouch:
		c.touch()
	case memproto.CmdFlushAll:
		c.flushAll()
	case memproto.CmdStats:
		c.statsCommand(r.Args)
	case memproto.CmdVersion:
		c.line("VERSION " + c.srv.cfg.Profile.Version())
	case memproto.CmdVerbosity:
		c.verbosity()
	case memproto.CmdQuit:
		c.quit = true
	}
}

// intercept asks Config.Intercept; true means that the command is to be executed.
func (c *conn) intercept() bool {
	v := c.srv.cfg.Intercept(c.peer, &c.req)
	if v.Delay > 0 {
		if !c.out.flush() || !c.srv.sleep(v.Delay) {
			c.quit = true
			return false
		}
		c.now = c.srv.clock.sec()
	}
	switch {
	case v.Drop:
		c.out.flush()
		c.quit = true
		return false
	case v.Reply != nil:
		c.out.buf = append(c.out.buf, v.Reply...)
		return false
	case v.DropAfter:
		c.out.flush()
		c.run()
		c.out.buf = c.out.buf[:0]
		c.quit = true
		return false
	}
	return true
}

// line appends a reply line; "" is none.
func (c *conn) line(s string) {
	if s == "" {
		return
	}
	c.out.buf = append(append(c.out.buf, s...), crlf...)
}

// reply appends a reply line unless the classic command asked for none.
func (c *conn) reply(s string) {
	if !c.req.NoReply {
		c.line(s)
	}
}

// key is the request's key as the store has it; binary says that it came in base64.
func (c *conn) key() (key []byte, binary bool) {
	r := &c.req
	if !r.Cmd.Meta() || !r.Flags.Has(memproto.FlagLb) {
		return r.Key, false
	}
	n, _ := memproto.DecodeKey64(c.keyBuf[:], r.Key)
	return c.keyBuf[:n], true
}

// nextCAS is a version no item of this process has had.
func (s *Server) nextCAS() uint64 { return s.casSeq.Add(1) }

func (c *conn) verbosity() {
	var n uint64
	for _, d := range c.req.Args {
		n = min(n*10+uint64(d-'0'), 2) // memcached knows nothing above 2
	}
	c.srv.verbosity.Store(uint32(n))
	c.reply("OK")
}

// flushAll drops everything now, or marks what will then be there for a later second.
func (c *conn) flushAll() {
	r := &c.req
	if c.srv.cfg.Admin.NoFlush {
		c.reply("CLIENT_ERROR flush_all not allowed")
		return
	}
	c.srv.stats.cmdFlush.Add(1)
	if r.HasDelay && r.Exptime > 0 {
		// memcached's rule: gone is what was touched before the second itself.
		c.srv.store.FlushAt(max(c.srv.clock.at(r.Exptime, c.now)-1, 1), c.now)
	} else {
		c.srv.store.Clear()
	}
	c.reply("OK")
}

// tooLarge refuses the value of a storage command. A set, and any ms, has dropped the
// old value by then: the client meant to replace it, so it must not be served on.
func (c *conn) tooLarge() {
	r := &c.req
	key, _ := c.key()
	tx := c.begin(key)
	tx.Count(store.StoreTooLarge)
	if tx.Found() && (r.Cmd == memproto.CmdSet || r.Cmd == memproto.CmdMetaSet) {
		tx.Delete()
	}
	tx.End()
	c.refuseBody(memproto.ReqTooLarge.Reply())
}

// sinceStart is how long the node has run.
func (s *Server) sinceStart() time.Duration { return s.clock.now().Sub(s.clock.start) }
