package pipe

import (
	"bytes"
	"fmt"
	"time"

	"github.com/memherd/memherd/client/internal/classic"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// parse completes every call whose reply is in rbuf. The caller has the reader's
// role; me is its own call. An error means that the stream can't be trusted.
//
// The calls are handed over together at the end: their callers, once awake, are about
// to queue their next requests, and would only contend for the lock and the
// processors with a reader still at work.
func (c *Conn) parse(me *Call) error {
	err := c.decode()
	if err == nil {
		c.noteHead()
	}
	c.handOver(me)
	return err
}

// decode reads the replies in rbuf into their calls.
func (c *Conn) decode() error {
	for {
		if c.inBody {
			done, err := c.takeBody()
			if err != nil {
				return err
			}
			if !done {
				break
			}
			c.complete()
			continue
		}
		if c.r == c.w {
			break
		}
		if err := c.values(); err != nil {
			return err
		}
		if c.r == c.w {
			break
		}
		n, err := memproto.DecodeResponse(c.rbuf[c.r:c.w], &c.lim, &c.resp)
		if err == memproto.ErrIncomplete {
			if c.r == 0 && c.w == len(c.rbuf) {
				return fmt.Errorf("%w: %w", item.ErrDesync, memproto.ErrLineTooLong)
			}
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", item.ErrDesync, err)
		}
		c.r += n
		k := c.head()
		if k == nil {
			return fmt.Errorf("%w: a reply nobody asked for (%s)", item.ErrDesync, c.resp.Status)
		}
		if k.offset >= c.sent && !c.hasLeft(k) {
			return fmt.Errorf("%w: a reply to what has not been sent (%s)", item.ErrDesync, c.resp.Status)
		}
		finished, err := c.match(k)
		if err != nil {
			return err
		}
		// The line's bytes are about to be overwritten.
		c.resp.Key, c.resp.Opaque, c.resp.Message = nil, nil, nil
		if !finished {
			continue
		}
		if c.resp.BodyLen >= 0 {
			c.inBody, c.bodyAt = true, 0
			if c.resp.BodyLen > c.cfg.MaxValue {
				c.passOver, c.body = true, nil
				continue
			}
			if c.group.span > 0 {
				k = c.behind(c.group.at)
			}
			c.body = k.room(min(c.resp.BodyLen, max(firstBody, c.w-c.r)))
			continue
		}
		c.complete()
	}
	return nil
}

// head is the call the next reply belongs to, nil if none is pending.
func (c *Conn) head() *Call {
	if c.mhead == len(c.mine) {
		c.mu.Lock()
		c.mine, c.queue = c.queue, c.mine[:0]
		c.mhead, c.sent = 0, c.taken
		c.mu.Unlock()
		if len(c.mine) == 0 {
			return nil
		}
	}
	return c.mine[c.mhead]
}

// hasLeft reports whether the request of k has been handed to a flusher.
func (c *Conn) hasLeft(k *Call) bool {
	c.mu.Lock()
	c.sent = c.taken
	c.mu.Unlock()
	return k.offset < c.sent
}

// takeBody moves bytes of the data block from rbuf; true when it and its CRLF are
// complete.
func (c *Conn) takeBody() (bool, error) {
	if c.passOver {
		n := min(c.resp.BodyLen-c.bodyAt, c.w-c.r)
		c.bodyAt += n
		c.r += n
	}
	for c.bodyAt < c.resp.BodyLen && c.r < c.w {
		c.growBody()
		n := copy(c.body[c.bodyAt:], c.rbuf[c.r:c.w])
		c.bodyAt += n
		c.r += n
	}
	end := lineEnd
	if c.mine[c.mhead].Classic {
		end = classicEnd
	}
	if c.bodyAt < c.resp.BodyLen || c.w-c.r < len(end) {
		return false, nil
	}
	if string(c.rbuf[c.r:c.r+len(end)]) != end {
		return false, fmt.Errorf("%w: data block without its line end", item.ErrDesync)
	}
	c.r += len(end)
	return true, nil
}

// complete puts the reply in resp into the head call.
func (c *Conn) complete() {
	k := c.mine[c.mhead]
	c.served = true
	c.steps++
	if c.group.span > 0 {
		c.completeShared()
		return
	}
	if k.burst != nil {
		value := c.body
		b := c.answered()
		n, last := c.sharing, b.take(&c.resp, value)
		if c.passOver {
			b.answers[len(b.answers)-1].Resp = tooLarge
		}
		c.inBody, c.passOver, c.body = false, false, nil
		if b.done < len(b.ends) {
			return
		}
		if last {
			n++
		}
		all := c.mine[c.mhead : c.mhead+n] // those that its first meta get proves, and itself with the last one
		c.ready = append(c.ready, all...)
		clear(all)
		c.mhead += len(all)
		c.sharing = 0
		return
	}
	c.mine[c.mhead] = nil
	c.mhead++
	c.fillCall(k)
	c.ready = append(c.ready, k)
}

// fillCall puts the reply in resp into k.
func (c *Conn) fillCall(k *Call) {
	k.Resp.set(&c.resp)
	k.Resp.Bare = k.Share
	if c.passOver {
		k.Err, k.Sent = item.ErrTooLarge, item.Answered
		c.inBody, c.passOver = false, false
	}
	if c.inBody {
		k.Value = c.body
		if k.Borrow {
			k.own = c.body
		}
		c.inBody, c.body = false, nil
	}
}

// handOver tells the owners of the calls that decode has completed.
func (c *Conn) handOver(me *Call) {
	if len(c.ready) == 0 {
		return
	}
	// First, so that whoever asks again at once finds room below the in-flight cap.
	c.landed(c.ready)
	for i, k := range c.ready {
		c.ready[i] = nil
		c.finish(k, me)
	}
	c.ready = c.ready[:0]
}

// finish moves a call out of its pending state and tells its owner: its caller, unless
// that is us, or its Settler if the caller has left.
func (c *Conn) finish(k, me *Call) {
	// Read first: nothing holds the caller of a quiet call back, and once the state has
	// moved it may have freed the call, and have it in use for another request.
	quiet := k.quiet
	if k.state.CompareAndSwap(statePending, stateDone) {
		if k != me && !quiet {
			k.wake <- sigDone
		}
		return
	}
	// Abandoned. The lock waits for the caller that is just leaving to let go of k.
	c.mu.Lock()
	c.abandoned--
	c.mu.Unlock()
	for len(k.wake) > 0 {
		<-k.wake // a role it was given and that was passed on
	}
	if k.Settler != nil {
		k.Settler.Settle(c, k)
	}
	k.Free()
}

// noteHead records since when the oldest pending call waits, for the overdue timer.
func (c *Conn) noteHead() {
	c.mu.Lock()
	if len(c.readKeys) > 0 {
		c.out.reuseKeys(c.readKeys)
		clear(c.readKeys)
		c.readKeys = c.readKeys[:0]
	}
	c.headStep = c.steps
	if len(c.ready) > 0 {
		c.took[c.nTook%len(c.took)] = time.Duration(c.Now() - c.ready[0].sentAt)
		c.nTook++
		c.lastBatch = 0
		for _, k := range c.ready {
			c.lastBatch += k.weight()
		}
	}
	switch {
	case c.mhead < len(c.mine):
		c.setHead(c.mine[c.mhead].sentAt, c.mine[c.mhead].offset)
	case len(c.queue) > 0:
		c.setHead(c.queue[0].sentAt, c.queue[0].offset)
	case len(c.out.gets) > 0:
		c.setHead(c.out.gets[0].sentAt, c.appended)
	default:
		c.setHead(0, c.appended)
	}
	c.mu.Unlock()
}

// match proves that the reply line in resp belongs to k. It returns false if k needs
// more lines (stats), and an error if the reply can't be k's: everything after it
// would be handed to the wrong callers.
func (c *Conn) match(k *Call) (bool, error) {
	if k.Classic {
		return c.matchClassic(k)
	}
	r := &c.resp
	if r.Status.IsError() {
		return c.matchError(k)
	}
	switch cmd := k.cmd; cmd {
	case memproto.CmdMetaGet, memproto.CmdMetaSet, memproto.CmdMetaDelete, memproto.CmdMetaArith:
		switch {
		case k.burst != nil:
			return c.matchBurst(k)
		case k.Share:
			return c.matchShared(k)
		}
		return c.matchMeta(k)
	case memproto.CmdMetaNoop:
		if r.Status == memproto.StatusMN {
			return true, nil
		}
	case memproto.CmdVersion:
		if r.Status == memproto.StatusVersion {
			k.Text = string(r.Message)
			return true, nil
		}
	case memproto.CmdFlushAll, memproto.CmdVerbosity:
		if r.Status == memproto.StatusOK {
			return true, nil
		}
	case memproto.CmdStats:
		switch r.Status {
		case memproto.StatusStat:
			if len(k.Stats) < maxStats {
				k.Stats = append(k.Stats, string(r.Key), string(r.Message))
			}
			return false, nil
		case memproto.StatusEnd, memproto.StatusReset, memproto.StatusOK:
			return true, nil
		}
	}
	return false, misfit(r.Status, k.cmd)
}

// matchMeta is match for a meta command with a token.
func (c *Conn) matchMeta(k *Call) (bool, error) {
	r, cmd := &c.resp, k.cmd
	if r.Status < memproto.StatusHD || r.Status > memproto.StatusEX {
		return false, misfit(r.Status, cmd)
	}
	if !bytes.Equal(r.Opaque, k.opaque[:k.opaqueN]) {
		return false, fmt.Errorf("%w: wrong opaque token in a reply to %s", item.ErrDesync, cmd)
	}
	if r.Status == memproto.StatusVA && cmd != memproto.CmdMetaGet && cmd != memproto.CmdMetaArith {
		return false, misfit(r.Status, cmd)
	}
	return true, nil
}

// maxStats bounds the lines kept of one stats reply, times two.
const maxStats = 1 << 16

// matchError decides whom an error line belongs to; it carries no opaque. A
// SERVER_ERROR is the head's own if the head asks the node to store something; the
// opaque of the next reply proves the alignment. ma on a value that is no number is
// refused with one exact CLIENT_ERROR text. Any other error line may have been
// caused by bytes we don't know of, and kills the connection.
func (c *Conn) matchError(k *Call) (bool, error) {
	r := &c.resp
	k.Text = string(r.Message)
	own := r.Status == memproto.StatusServerError && k.storing() ||
		r.Status == memproto.StatusClientError && k.cmd == memproto.CmdMetaArith && bytes.Equal(r.Message, classic.NotNumber) ||
		k.cmd == memproto.CmdStats || k.cmd == memproto.CmdFlushAll
	if own {
		k.Sent = item.Answered
		return true, nil
	}
	return false, fmt.Errorf("%w: %s %s", item.ErrServer, r.Status, k.Text)
}

func misfit(s memproto.Status, cmd memproto.Cmd) error {
	return fmt.Errorf("%w: %s is no reply to %s", item.ErrDesync, s, cmd)
}
