package nodeserver

import (
	"strconv"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// echo puts the key and the opaque of the request into resp if they were asked for.
func (c *conn) echo(resp *memproto.Response, key []byte, binary bool) {
	r := &c.req
	if r.Flags.Has(memproto.FlagO) {
		resp.Flags |= memproto.FlagO
		resp.Opaque = r.Opaque
	}
	if !r.Flags.Has(memproto.FlagLk) {
		return
	}
	resp.Flags |= memproto.FlagLk
	resp.Key = key
	if binary {
		resp.Flags |= memproto.FlagLb
		resp.Key = memproto.AppendKey64(c.encKey[:0], key)
	}
}

// answer appends a reply that has no more than the echoed flags.
func (c *conn) answer(status memproto.Status, key []byte, binary bool) {
	resp := memproto.Response{Status: status}
	c.echo(&resp, key, binary)
	c.out.buf = resp.AppendLine(c.out.buf, c.req.Meta)
}

// newCAS is the version the request gives with E, or the next one.
func (c *conn) newCAS() uint64 {
	if c.req.Flags.Has(memproto.FlagE) {
		return c.req.NewCAS
	}
	return c.srv.nextCAS()
}

// noMemory answers a command that would have had to store and could not.
func (c *conn) noMemory(tx *store.Tx, reply string) {
	tx.Count(store.StoreNoMemory)
	c.line(reply)
}

// metaGet answers mg.
func (c *conn) metaGet() {
	r := &c.req
	f := r.Flags
	key, binary := c.key()
	tx := c.begin(key)
	defer tx.End()
	tx.Count(store.CmdMeta)
	created := false
	if !tx.Found() {
		if !f.Has(memproto.FlagN) {
			tx.Count(store.CmdGet)
			tx.Count(store.GetMisses)
			if !f.Has(memproto.FlagLq) {
				c.answer(memproto.StatusEN, key, binary)
			}
			return
		}
		// The stub of a lease: empty, flags 0. Its TTL is set below.
		if !tx.Put(store.Meta{CAS: c.newCAS()}, nil) {
			c.noMemory(&tx, "SERVER_ERROR Out of memory allocating new item")
			return
		}
		created = true
	}
	m := tx.Meta()
	resp := memproto.Response{
		Status: memproto.StatusHD, Size: int64(tx.Len()), ClientFlags: m.ClientFlags, CAS: m.CAS,
		LastAccess: int64(since(m.Access, c.now)), Hit: m.Bits&store.Fetched != 0,
	}
	const asked = memproto.FlagLs | memproto.FlagLt | memproto.FlagLc | memproto.FlagLf | memproto.FlagLl | memproto.FlagLh
	resp.Flags = f & asked
	c.echo(&resp, key, m.Bits&store.BinaryKey != 0)

	won := created
	if f&(memproto.FlagT|memproto.FlagN|memproto.FlagR|memproto.FlagLt) != 0 {
		won = c.metaTimes(&resp, m, created)
	}
	if m.Bits&store.Won != 0 {
		resp.Flags |= memproto.FlagZ
	}
	if m.Bits&store.Stale != 0 {
		resp.Flags |= memproto.FlagX
		// The first to see a stale item gets the right to replace it.
		won = won || m.Bits&store.Won == 0
	}
	if won {
		resp.Flags |= memproto.FlagW
		m.Bits |= store.Won
	}
	unchanged := f.Has(memproto.FlagC) && r.CAS == m.CAS && c.srv.cfg.Profile == ProfileNewest
	if f.Has(memproto.FlagLv) && !unchanged {
		resp.Status, resp.BodyLen = memproto.StatusVA, tx.Len()
		out := resp.AppendLine(c.out.buf, r.Meta)
		c.out.buf = append(tx.AppendValue(out), crlf...)
	} else {
		c.out.buf = resp.AppendLine(c.out.buf, r.Meta)
	}
	if f.Has(memproto.FlagT) {
		tx.Count(store.CmdTouch)
		tx.Count(store.TouchHits)
	} else {
		tx.Count(store.CmdGet)
		tx.Count(store.GetHits)
	}
	if !f.Has(memproto.FlagLu) {
		tx.Bump()
	}
}

// metaTimes does what T, N, R and t ask, in the order in which they stand: "t T30"
// shows the TTL before the touch, "T30 t" the one after. It reports whether the
// request has won the right to recache.
func (c *conn) metaTimes(resp *memproto.Response, m *store.Meta, created bool) (won bool) {
	r := &c.req
	for i := 0; i < len(r.Meta); i++ {
		if i > 0 && r.Meta[i-1] != ' ' {
			continue
		}
		switch r.Meta[i] {
		case 'T':
			m.Expiry = c.srv.clock.at(r.Exptime, c.now)
		case 'N':
			if created {
				m.Expiry = c.srv.clock.at(r.Vivify, c.now)
				won = true
			}
		case 'R':
			if !created && m.Bits&store.Won == 0 && m.Expiry != 0 && m.Expiry < c.srv.clock.at(r.Recache, c.now) {
				won = true
			}
		case 't':
			resp.TTL = ttl(m.Expiry, c.now)
		}
	}
	return won
}

// metaDelete answers md.
func (c *conn) metaDelete() {
	r := &c.req
	f := r.Flags
	key, binary := c.key()
	tx := c.begin(key)
	defer tx.End()
	tx.Count(store.CmdMeta)
	if !tx.Found() {
		tx.Count(store.DeleteMisses)
		c.answer(memproto.StatusNF, key, binary)
		return
	}
	m := tx.Meta()
	if f.Has(memproto.FlagC) && m.CAS != r.CAS {
		tx.Count(store.DeleteMisses)
		c.answer(memproto.StatusEX, key, binary)
		return
	}
	if f.Has(memproto.FlagLx) {
		// The value goes, the item stays: with I it is a tombstone.
		cas := m.CAS
		if f.Has(memproto.FlagE) {
			cas = r.NewCAS
		}
		if !tx.Put(store.Meta{CAS: cas, ClientFlags: r.ClientFlags, Expiry: c.srv.clock.at(r.Exptime, c.now)}, nil) {
			c.noMemory(&tx, "SERVER_ERROR out of memory")
			return
		}
		m = tx.Meta()
	}
	switch {
	case f.Has(memproto.FlagI):
		if f.Has(memproto.FlagT) {
			m.Expiry = c.srv.clock.at(r.Exptime, c.now)
		}
		m.Bits = m.Bits&^store.Won | store.Stale
		m.CAS = c.newCAS()
	case f.Has(memproto.FlagLx):
		tx.Count(store.DeleteHits)
	default:
		tx.Count(store.DeleteHits)
		c.deleted(key, "md", tx.Len())
		tx.Delete()
	}
	if !f.Has(memproto.FlagLq) {
		c.answer(memproto.StatusHD, key, binary)
	}
}

// metaArith answers ma.
func (c *conn) metaArith() {
	r := &c.req
	f := r.Flags
	key, binary := c.key()
	tx := c.begin(key)
	defer tx.End()
	tx.Count(store.CmdMeta)
	var num [maxDigits]byte
	created := false
	n, res := c.addDelta(&tx, r.Mode != 'D', r.Delta, r.CAS, c.newCAS, num[:0])
	switch res {
	case deltaNotFound:
		if !f.Has(memproto.FlagN) {
			countMiss(&tx, r.Mode != 'D')
			c.answer(memproto.StatusNF, key, binary)
			return
		}
		n = strconv.AppendUint(num[:0], r.Initial, 10)
		if !tx.Put(store.Meta{CAS: c.newCAS()}, n) {
			c.noMemory(&tx, "SERVER_ERROR out of memory")
			return
		}
		created = true
	case deltaNoMemory:
		c.noMemory(&tx, "SERVER_ERROR out of memory")
		return
	case deltaNotNumber:
		c.line(notNumber)
		return
	case deltaBadCAS:
		c.answer(memproto.StatusEX, key, binary)
		return
	}
	m := tx.Meta()
	resp := memproto.Response{Status: memproto.StatusHD, CAS: m.CAS}
	resp.Flags = f & (memproto.FlagLt | memproto.FlagLc)
	c.echo(&resp, key, binary)
	for i := range r.Meta {
		if i > 0 && r.Meta[i-1] != ' ' {
			continue
		}
		switch r.Meta[i] {
		case 'T':
			m.Expiry = c.srv.clock.at(r.Exptime, c.now)
		case 'N':
			if created {
				m.Expiry = c.srv.clock.at(r.Vivify, c.now)
			}
		case 't':
			resp.TTL = ttl(m.Expiry, c.now)
		}
	}
	if f.Has(memproto.FlagLq) {
		return
	}
	if !f.Has(memproto.FlagLv) {
		c.out.buf = resp.AppendLine(c.out.buf, r.Meta)
		return
	}
	resp.Status, resp.BodyLen = memproto.StatusVA, len(n)
	out := resp.AppendLine(c.out.buf, r.Meta)
	c.out.buf = append(append(out, n...), crlf...)
}
