package nodeserver

import (
	"bytes"
	"strconv"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// metaDebug answers me: what the node knows about an item, without touching it.
func (c *conn) metaDebug() {
	key, _ := c.key()
	tx := c.begin(key)
	defer tx.End()
	tx.Count(store.CmdMeta)
	if !tx.Found() {
		c.line("EN")
		return
	}
	m := tx.Meta()
	size := store.Size(len(key), m.ClientFlags, tx.Len())
	resp := memproto.Response{Status: memproto.StatusME, Key: key}
	if m.Bits&store.BinaryKey != 0 {
		resp.Key = memproto.AppendKey64(c.encKey[:0], key)
	}
	b := make([]byte, 0, 128)
	b = strconv.AppendInt(append(b, "exp="...), ttl(m.Expiry, c.now), 10)
	b = strconv.AppendUint(append(b, " la="...), uint64(since(m.Access, c.now)), 10)
	b = strconv.AppendUint(append(b, " cas="...), m.CAS, 10)
	b = append(b, " fetch="...)
	b = append(b, yesNo(m.Bits&store.Fetched != 0)...)
	b = strconv.AppendInt(append(b, " cls="...), int64(sizeClass(size)), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(size), 10)
	resp.Message = b
	c.out.buf = resp.AppendLine(c.out.buf, nil)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// sizeClass is the slab class memcached's defaults would put an item of so many bytes
// in: classes from 96 bytes, each a quarter larger than the one before, rounded up to
// eight. A node has no slabs, but tools group items by this number.
func sizeClass(size int) int {
	const smallest, factor, largest = 96, 1.25, 512 << 10
	class, limit := 1, smallest
	for size > limit && float64(limit) <= largest/factor {
		class++
		limit = (int(float64(limit)*factor) + 7) &^ 7
	}
	return class
}

// metadump lists the meta data of every item of these classes.
func (c *conn) metadump(of classSet) {
	if !c.leave() { // it takes long, and others need not wait
		return
	}
	c.line("OK")
	origin := c.srv.clock.unixOrigin()
	list := func(i store.Info) bool {
		size := store.Size(len(i.Key), i.ClientFlags, i.ValueLen)
		if !of.has(sizeClass(size)) {
			return true
		}
		exp := int64(-1)
		if i.Expiry != 0 {
			exp = origin + int64(i.Expiry)
		}
		b := append(c.out.buf, "key="...)
		b = appendURI(b, i.Key)
		b = strconv.AppendInt(append(b, " exp="...), exp, 10)
		b = strconv.AppendInt(append(b, " la="...), origin+int64(i.Access), 10)
		b = strconv.AppendUint(append(b, " cas="...), i.CAS, 10)
		b = append(append(b, " fetch="...), yesNo(i.Bits&store.Fetched != 0)...)
		b = strconv.AppendInt(append(b, " cls="...), int64(sizeClass(size)), 10)
		b = strconv.AppendInt(append(b, " size="...), int64(size), 10)
		b = strconv.AppendUint(append(b, " flags="...), uint64(i.ClientFlags), 10)
		c.out.buf = append(b, '\n') // alone, as memcached ends these lines
		return len(c.out.buf) < flushAt
	}
	// In parts: all of a large store would be much memory, and its reader may be slow.
	for at, more := (store.Place{}), true; more; {
		at, more = c.srv.store.EachFrom(at, c.now, list)
		if more && !c.out.flush() {
			c.quit = true
			return
		}
		c.now = c.srv.clock.sec()
	}
	c.line("END")
}

// statsCachedump answers stats cachedump <class> <limit> [0 is all].
func (c *conn) statsCachedump(args []byte) {
	f := bytes.Fields(args)
	if c.srv.cfg.Admin.NoDump {
		c.line("CLIENT_ERROR stats cachedump not allowed")
		return
	}
	if len(f) < 2 {
		c.line("CLIENT_ERROR bad command line")
		return
	}
	class, err1 := strconv.ParseUint(string(f[0]), 10, 32)
	limit, err2 := strconv.ParseUint(string(f[1]), 10, 32)
	switch {
	case err1 != nil || err2 != nil:
		c.line("CLIENT_ERROR bad command line format")
		return
	case class >= mostClasses:
		c.line("CLIENT_ERROR Illegal slab id")
		return
	}
	if !c.leave() {
		return
	}
	const most = 2 << 20 // memcached's bound on this command's reply
	origin, n, start := c.srv.clock.unixOrigin(), uint64(0), len(c.out.buf)
	c.srv.store.Each(c.now, func(i store.Info) bool {
		if sizeClass(store.Size(len(i.Key), i.ClientFlags, i.ValueLen)) != int(class) {
			return true
		}
		exp := int64(0)
		if i.Expiry != 0 {
			exp = origin + int64(i.Expiry)
		}
		b := append(append(c.out.buf, "ITEM "...), i.Key...)
		b = strconv.AppendInt(append(b, " ["...), int64(i.ValueLen), 10)
		b = strconv.AppendInt(append(b, " b; "...), exp, 10)
		c.out.buf = append(append(b, " s]"...), crlf...)
		n++
		return (limit == 0 || n < limit) && len(c.out.buf)-start < most
	})
	c.line("END")
}
