package nodeserver

import (
	"bytes"
	"strconv"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// get answers get, gets, gat and gats.
func (c *conn) get() {
	r := &c.req
	withCAS := r.Cmd == memproto.CmdGets || r.Cmd == memproto.CmdGats
	touch := r.Cmd == memproto.CmdGat || r.Cmd == memproto.CmdGats
	var expiry uint32
	if touch {
		expiry = c.srv.clock.at(r.Exptime, c.now)
	}
	key, more := r.Key, r.More
	for {
		c.getOne(key, withCAS, touch, expiry)
		if len(more) == 0 {
			break
		}
		if len(c.out.buf) > flushAt && !c.out.flush() {
			c.quit = true
			return
		}
		if i := bytes.IndexByte(more, ' '); i >= 0 {
			key, more = more[:i], bytes.TrimLeft(more[i+1:], " ")
		} else {
			key, more = more, nil
		}
	}
	c.line("END")
}

func (c *conn) getOne(key []byte, withCAS, touch bool, expiry uint32) {
	tx := c.begin(key)
	defer tx.End()
	hits, misses := store.GetHits, store.GetMisses
	if touch {
		hits, misses = store.TouchHits, store.TouchMisses
		tx.Count(store.CmdTouch)
	} else {
		tx.Count(store.CmdGet)
	}
	c.srv.prefixes.noteGet(key, tx.Found())
	if !tx.Found() {
		tx.Count(misses)
		return
	}
	tx.Count(hits)
	m := tx.Meta()
	if touch {
		m.Expiry = expiry
	}
	resp := memproto.Response{
		Status: memproto.StatusValue, Key: key, ClientFlags: m.ClientFlags,
		CAS: m.CAS, HasCAS: withCAS, BodyLen: tx.Len(),
	}
	out := resp.AppendLine(c.out.buf, nil)
	out = tx.AppendValue(out)
	c.out.buf = append(out, crlf...)
	tx.Bump()
}

// delete answers delete.
func (c *conn) delete() {
	c.srv.prefixes.noteDelete(c.req.Key)
	tx := c.begin(c.req.Key)
	defer tx.End()
	if !tx.Found() {
		tx.Count(store.DeleteMisses)
		c.reply("NOT_FOUND")
		return
	}
	tx.Count(store.DeleteHits)
	c.deleted(c.req.Key, "delete", tx.Len())
	tx.Delete()
	c.reply("DELETED")
}

// touch answers touch.
func (c *conn) touch() {
	tx := c.begin(c.req.Key)
	defer tx.End()
	tx.Count(store.CmdTouch)
	if !tx.Found() {
		tx.Count(store.TouchMisses)
		c.reply("NOT_FOUND")
		return
	}
	tx.Count(store.TouchHits)
	tx.Meta().Expiry = c.srv.clock.at(c.req.Exptime, c.now)
	tx.Bump()
	c.reply("TOUCHED")
}

// arith answers incr and decr.
func (c *conn) arith() {
	r := &c.req
	incr := r.Cmd == memproto.CmdIncr
	tx := c.begin(r.Key)
	defer tx.End()
	var num [maxDigits]byte
	n, res := c.addDelta(&tx, incr, r.Delta, 0, c.srv.nextCAS, num[:0])
	switch res {
	case deltaOK:
		if !r.NoReply {
			c.out.buf = append(append(c.out.buf, n...), crlf...)
		}
	case deltaNotFound:
		countMiss(&tx, incr)
		c.reply("NOT_FOUND")
	case deltaNotNumber:
		c.reply(notNumber)
	case deltaNoMemory:
		tx.Count(store.StoreNoMemory)
		c.reply("SERVER_ERROR out of memory in incr")
	}
}

// countMiss counts a counter that is not there. One that ma makes then is no miss.
func countMiss(tx *store.Tx, incr bool) {
	if incr {
		tx.Count(store.IncrMisses)
	} else {
		tx.Count(store.DecrMisses)
	}
}

const (
	notNumber = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	// maxDigits is the length of the largest 64-bit number.
	maxDigits = 20
)

type deltaResult uint8

const (
	deltaOK deltaResult = iota
	deltaNotFound
	deltaNotNumber
	deltaBadCAS
	deltaNoMemory
)

// addDelta changes the number in tx's item and returns its new digits, appended to
// dst. cas, unless 0, is what the item's version has to be. A number that becomes
// shorter keeps its length and is filled with spaces, in place; one that grows becomes
// a new item.
func (c *conn) addDelta(tx *store.Tx, incr bool, delta, cas uint64, nextCAS func() uint64, dst []byte) ([]byte, deltaResult) {
	hits := store.IncrHits
	if !incr {
		hits = store.DecrHits
	}
	if !tx.Found() {
		return nil, deltaNotFound
	}
	if tx.Len() == 0 {
		return nil, deltaNotNumber
	}
	m := tx.Meta()
	if cas != 0 && m.CAS != cas {
		return nil, deltaBadCAS
	}
	var head [maxDigits + 12]byte
	text := head[:tx.CopyPrefix(head[:])]
	if tx.Len() > len(head) { // the number may stand behind many zeros or spaces
		text = tx.AppendValue(nil)
	}
	n, ok := memproto.ParseCounter(text)
	if !ok {
		return nil, deltaNotNumber
	}
	switch {
	case incr:
		n += delta // wraps around at 2^64
	case delta > n:
		n = 0
	default:
		n -= delta
	}
	tx.Count(hits)
	dst = strconv.AppendUint(dst, n, 10)
	if len(dst) <= tx.Len() {
		tx.Overwrite(dst)
		m.CAS = nextCAS()
		tx.Refresh()
		return dst, deltaOK
	}
	if !tx.Put(store.Meta{CAS: nextCAS(), ClientFlags: m.ClientFlags, Expiry: m.Expiry}, dst) {
		return nil, deltaNoMemory
	}
	return dst, deltaOK
}
