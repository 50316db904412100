package nodeserver

import (
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// storeMode is what a storage command wants, classic or meta.
type storeMode uint8

const (
	modeSet storeMode = iota
	modeAdd
	modeReplace
	modeAppend
	modePrepend
	modeCAS
)

// storeArgs is a storage command, classic or meta.
type storeArgs struct {
	mode storeMode
	meta store.Meta // CAS is the one to be given
	// cas is the version to compare with; 0 is none, which only modeCAS minds.
	cas uint64
	// lateOK: a version lower than the item's is stored, too, but marked stale.
	lateOK bool
	// vivify: append and prepend create what is missing.
	vivify bool
	value  []byte
}

// casVerdict compares a command's version with the item's.
type casVerdict uint8

const (
	casNone casVerdict = iota
	casMatch
	casLate
	casBad
)

func (a *storeArgs) compare(have uint64) casVerdict {
	switch {
	case a.cas == 0:
		return casNone
	case a.cas == have:
		return casMatch
	case a.lateOK && a.cas < have:
		return casLate
	}
	return casBad
}

// outOfMemory is the answer when nothing may be evicted for a new value.
const outOfMemory = "SERVER_ERROR out of memory storing object"

// put executes a storage command on tx. The result is HD, NS, EX, NF, or SERVER_ERROR
// when there is no memory; the second value is the length of what is stored now.
func (c *conn) put(tx *store.Tx, a *storeArgs) (memproto.Status, int) {
	tx.Count(store.CmdSet)
	if !tx.Found() {
		return c.putNew(tx, a)
	}
	old := tx.Meta()
	verdict := a.compare(old.CAS)
	switch a.mode {
	case modeAdd:
		tx.Refresh() // a refused add is still interest in the item
		return memproto.StatusNS, len(a.value)
	case modeCAS:
		switch verdict {
		case casMatch:
			tx.Count(store.CasHits)
		case casLate:
			// The late value is better than none, but it is old: its TTL must not be
			// prolonged, and whoever holds the right to recache still does.
			tx.Count(store.CasHits)
			a.meta.Expiry = old.Expiry
			a.meta.Bits |= store.Stale | old.Bits&store.Won
		default:
			tx.Count(store.CasBadval)
			return memproto.StatusEX, len(a.value)
		}
	case modeAppend, modePrepend:
		if verdict != casNone && verdict != casMatch {
			return memproto.StatusEX, len(a.value)
		}
		return c.extend(tx, a, *old)
	}
	return c.store(tx, a, tx.Put(a.meta, a.value), len(a.value))
}

// putNew is put where no item is.
func (c *conn) putNew(tx *store.Tx, a *storeArgs) (memproto.Status, int) {
	switch a.mode {
	case modeCAS:
		tx.Count(store.CasMisses)
		return memproto.StatusNF, len(a.value)
	case modeReplace:
		return memproto.StatusNS, len(a.value)
	case modeAppend, modePrepend:
		if !a.vivify {
			return memproto.StatusNS, len(a.value)
		}
	}
	return c.store(tx, a, tx.Put(a.meta, a.value), len(a.value))
}

// extend appends or prepends. The item keeps its flags and TTL and is otherwise new.
func (c *conn) extend(tx *store.Tx, a *storeArgs, old store.Meta) (memproto.Status, int) {
	key, _ := c.key()
	n := tx.Len() + len(a.value)
	if !c.srv.store.Fits(len(key), old.ClientFlags, n) {
		return memproto.StatusNS, len(a.value)
	}
	m := store.Meta{CAS: a.meta.CAS, ClientFlags: old.ClientFlags, Expiry: old.Expiry, Bits: old.Bits & store.BinaryKey}
	if a.mode == modeAppend {
		return c.store(tx, a, tx.Extend(m, nil, a.value), n)
	}
	return c.store(tx, a, tx.Extend(m, a.value, nil), n)
}

// store says how storing went. A set, and any ms, that found no memory drops the old
// value, which the client meant to replace, so that it is not served on.
func (c *conn) store(tx *store.Tx, a *storeArgs, ok bool, size int) (memproto.Status, int) {
	if ok {
		return memproto.StatusHD, size
	}
	tx.Count(store.StoreNoMemory)
	if tx.Found() && (a.mode == modeSet || c.req.Cmd == memproto.CmdMetaSet) {
		tx.Delete()
	}
	return memproto.StatusServerError, len(a.value)
}

// set answers set, add, replace, append, prepend and cas.
func (c *conn) set() {
	r := &c.req
	a := storeArgs{
		meta: store.Meta{
			CAS: c.srv.nextCAS(), ClientFlags: r.ClientFlags,
			Expiry: c.srv.clock.at(r.Exptime, c.now),
		},
		value: r.Value,
	}
	switch r.Cmd {
	case memproto.CmdAdd:
		a.mode = modeAdd
	case memproto.CmdReplace:
		a.mode = modeReplace
	case memproto.CmdAppend:
		a.mode = modeAppend
	case memproto.CmdPrepend:
		a.mode = modePrepend
	case memproto.CmdCas:
		a.mode, a.cas = modeCAS, r.CAS
	}
	c.srv.prefixes.noteSet(r.Key)
	tx := c.begin(r.Key)
	status, size := c.put(&tx, &a)
	tx.End()
	c.stored(r.Key, &a, status, size)
	switch status {
	case memproto.StatusHD:
		c.reply("STORED")
	case memproto.StatusEX:
		c.reply("EXISTS")
	case memproto.StatusNF:
		c.reply("NOT_FOUND")
	case memproto.StatusServerError:
		c.reply(outOfMemory)
	default:
		c.reply("NOT_STORED")
	}
}

// metaSet answers ms.
func (c *conn) metaSet() {
	r := &c.req
	key, binary := c.key()
	exptime := r.Exptime
	a := storeArgs{
		meta:   store.Meta{ClientFlags: r.ClientFlags},
		cas:    r.CAS,
		vivify: r.Flags.Has(memproto.FlagN) && !c.srv.cfg.Profile.before(Profile1622),
		value:  r.Value,
	}
	switch r.Mode {
	case 'E':
		a.mode = modeAdd
	case 'A', 'P':
		a.mode = modeAppend
		if r.Mode == 'P' {
			a.mode = modePrepend
		}
		if a.vivify {
			exptime = r.Vivify
		}
	case 'R':
		a.mode = modeReplace
	}
	if r.Flags.Has(memproto.FlagC) && (a.mode == modeSet || a.mode == modeReplace) {
		a.mode = modeCAS
		a.lateOK = r.Flags.Has(memproto.FlagI)
	}
	a.meta.Expiry = c.srv.clock.at(exptime, c.now)
	if binary {
		a.meta.Bits = store.BinaryKey
	}
	if r.Flags.Has(memproto.FlagE) {
		a.meta.CAS = r.NewCAS
	} else {
		a.meta.CAS = c.srv.nextCAS()
	}
	tx := c.begin(key)
	tx.Count(store.CmdMeta)
	status, size := c.put(&tx, &a)
	tx.End()
	c.stored(key, &a, status, size)
	if status == memproto.StatusServerError {
		c.line(outOfMemory)
		return
	}
	if status == memproto.StatusHD && r.Flags.Has(memproto.FlagLq) {
		return
	}
	resp := memproto.Response{Status: status, Size: int64(size)}
	resp.Flags = r.Flags & (memproto.FlagLc | memproto.FlagLs)
	if c.srv.cfg.Profile.before(Profile1622) {
		resp.Flags &^= memproto.FlagLs
	}
	if status == memproto.StatusHD {
		resp.CAS = a.meta.CAS
	}
	c.echo(&resp, key, binary)
	c.out.buf = resp.AppendLine(c.out.buf, r.Meta)
}
