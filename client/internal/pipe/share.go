package pipe

import (
	"bytes"

	"github.com/memherd/memherd/client/memproto"
)

// Reads of single keys that go out together share one classic get, too: memcached answers a get of sixty keys with half the work of sixty
// meta gets. Which of them do is decided when they are handed to the flusher, for only then it is known how many
// there are: fewer than minShared go out as they are, as meta gets. Until then they are held aside and not in the queue, which has the
// order in which replies will come: they go out behind what others have queued meanwhile, writes among it, and
// not in runs between them that would be too short to share anything. Who asked before a write was queued may so be told what it
// wrote; both were under way at that moment.
//
// The last of those that share is a meta get behind the classic one, and nothing that the classic one has brought is
// handed to anybody before that one's reply has come with its token: whatever had been lost, doubled or mixed in would
// stand in its place. Values come with their keys, in the order in which these were asked for, and none for what is not there. Where
// two callers ask for the same key and one value comes, the first takes it: see join.go.

// minShared is how many reads share a classic get at least. memcached writes what it has at the end of each, with a
// system call of its own, so that few cost more than they save.
const minShared = 24

// share holds a read aside that may share a classic get. mu is held. Its key is copied here, by the caller who has it
// at hand: neither the flusher nor the reader then looks at the calls of others for it.
func (c *Conn) share(k *Call) {
	o := &c.out
	if len(o.keys)+len(k.Req.Key)+1 > maxGetLine {
		c.sealGets()
	}
	if o.keys == nil {
		o.keys = o.keysRoom()
	}
	o.keys = append(append(o.keys, ' '), k.Req.Key...)
	o.gets = append(o.gets, k)
	o.calls++
}

// sealGets queues the reads that are held aside, and writes them. mu is held.
func (c *Conn) sealGets() {
	if len(c.out.gets) == 0 {
		return
	}
	c.out.sealBursts() // they are in the queue already
	at := c.appended
	c.appended += int64(c.out.writeGets())
	c.queueHeld(at)
}

// queueHeld puts the reads that are held aside into the queue, with offset as theirs. mu is held.
func (c *Conn) queueHeld(offset int64) {
	o := &c.out
	for _, k := range o.gets {
		k.offset = offset
	}
	c.queue = append(c.queue, o.gets...)
	clear(o.gets)
	o.gets = o.gets[:0]
}

// keysRoom returns memory for the keys of a command.
func (o *outbox) keysRoom() []byte {
	if n := len(o.oldKeys); n > 0 {
		b := o.oldKeys[n-1]
		o.oldKeys = o.oldKeys[:n-1]
		return b
	}
	return make([]byte, 0, maxGetLine)
}

// reuseKeys takes memory for keys back.
func (o *outbox) reuseKeys(old [][]byte) {
	room := mostOldKeys - len(o.oldKeys)
	o.oldKeys = append(o.oldKeys, old[:min(len(old), room)]...)
}

// mostOldKeys is how many commands' memory for keys is kept for reuse.
const mostOldKeys = 8

// writeGets writes the reads that are held aside, and returns how long that is. A token costs as much as all the rest of it, so that only
// those that go out as meta gets are given one.
func (o *outbox) writeGets() int {
	n, before := len(o.gets), len(o.small)
	if n < o.least {
		keys := o.keys
		for _, k := range o.gets {
			k.Req.Key, keys = cutKey(keys)
			o.alone(k)
		}
		o.keys = o.keys[:0]
	} else {
		first, last := o.gets[0], o.gets[n-1]
		at := bytes.LastIndexByte(o.keys, ' ')
		o.small = append(append(append(o.small, "get"...), o.keys[:at]...), lineEnd...)
		last.Req.Key = o.keys[at+1:]
		o.alone(last)
		first.span, first.line, o.keys = uint16(n), o.keys[:at], nil
	}
	return len(o.small) - before
}

// alone writes a meta get.
func (o *outbox) alone(k *Call) {
	k.Req.Opaque = o.token(k)
	k.Req.Flags |= memproto.FlagO
	o.small = k.Req.AppendLine(o.small)
	k.Req.Key, k.Req.Opaque = nil, nil
}

// cutKey returns the first of keys, each of which stands behind a space, and the others.
func cutKey(keys []byte) (key, rest []byte) {
	keys = keys[1:]
	if i := bytes.IndexByte(keys, ' '); i >= 0 {
		return keys[:i], keys[i:]
	}
	return keys, nil
}

// shared is where the reader is in a classic get that calls share; span is 0 if it is in none.
type shared struct {
	span  int // how many calls, the one that proves it included
	at    int // which of them, from the head, is answered next
	ended bool
	keys  []byte // those from at on, but for that of the proof
}

// matchShared is match for the head where that may share a classic get.
func (c *Conn) matchShared(k *Call) (bool, error) {
	if !c.inShared(k) {
		return c.matchMeta(k)
	}
	s, r := &c.group, &c.resp
	switch {
	case s.ended:
		return c.matchMeta(c.behind(s.at))
	case r.Status == memproto.StatusEnd:
		for ; s.at < s.span-1; s.at++ {
			c.behind(s.at).missed()
		}
		s.ended = true
		return false, nil
	case r.Status != memproto.StatusValue:
		return false, misfit(r.Status, memproto.CmdGet)
	}
	r.Status = memproto.StatusVA
	_, err := c.sharedOf(r.Key)
	return err == nil, err
}

// inShared reports whether the head k is the first of calls that share a classic get.
func (c *Conn) inShared(k *Call) bool {
	s := &c.group
	if s.span == 0 && k.span > 0 {
		s.span, s.keys = int(k.span), k.line
	}
	return s.span > 0
}

// sharedOf goes on to the call, of those that share, that a value of key is for.
func (c *Conn) sharedOf(key []byte) (*Call, error) {
	s := &c.group
	for ; s.at < s.span-1; s.at++ {
		var next []byte
		if next, s.keys = cutKey(s.keys); string(next) == string(key) {
			return c.behind(s.at), nil
		}
		c.behind(s.at).missed()
	}
	return nil, errNotAsked
}

func (k *Call) missed() { k.Resp = Reply{Status: memproto.StatusEN, Bare: true} }

// completeShared puts the reply in resp into the call it is for, and completes all that share if it proves them.
func (c *Conn) completeShared() {
	s := &c.group
	k := c.behind(s.at)
	c.fillCall(k)
	s.at++
	if !s.ended {
		return
	}
	all := c.mine[c.mhead : c.mhead+s.span]
	c.readKeys, all[0].line = append(c.readKeys, all[0].line[:0]), nil
	c.ready = append(c.ready, all...)
	clear(all)
	c.mhead += s.span
	*s = shared{}
}
