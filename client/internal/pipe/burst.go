package pipe

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Answer is what there is of a valid reply.
type Answer struct {
	// Resp is what the reply line said.
	Resp Reply
	// Value is the reply's data block, in memory of its own, or, with Borrow, in
	// memory that Free takes back.
	Value []byte
}

// ErrNoBurst is what Start returns for a burst on a connection whose requests travel in
// classic words.
var ErrNoBurst = errors.New("memherd: a server without meta commands takes no bursts")

// burst makes a Call carry reads of many keys, with one slot in the queue, one wake-up and
// one piece of memory. It belongs to whoever owns the Call.
//
// Most keys travel in a classic get command of many keys, which costs memcached a third
// of as many meta gets. Classic replies carry no token. So the last key
// is asked for with a meta get, and nothing is believed before that one's reply has come
// with its token: whatever had been lost, doubled or mixed in before would stand in its
// place. And each value comes with its key, of which there is one in a burst.
// Bursts that go out together share their classic command, and the proof: see join.go. A lone caller's few keys
// have nothing to share, and all go by meta get: see fewKeys.
type burst struct {
	keys    []string
	metas   int   // how many of keys, the last, must go by meta get; with 0 one does for its token
	ends    []int // by classic command: the position in keys behind its last
	done    int   // classic commands whose END has come
	getEnd  int   // length of the classic command in line, if there is one alone: it may be shared
	joined  bool  // its keys went out in the command of the call before; written before the call is queued
	proof   int   // how many calls behind this one the burst is that proves it, 0 if it does so itself; written as Call.span is
	form    func(r *memproto.Request, key string)
	answers []Answer
	bytes   int              // of all values so far
	line    []byte           // the requests as they go out
	req     memproto.Request // the one being encoded
	token   [20]byte         // its opaque: the call's, a dot, and the key's position in base 36
}

// Ask adds a key to those that k asks for: k is a burst from then on. The key must be
// plain, and none may be asked for twice. Of the reply there will be the value and the client
// flags, and the CAS value if Req asks for it, no more.
func (k *Call) Ask(key string) {
	b := k.burst
	if b == nil {
		b, _ = k.pool.bursts.Get().(*burst)
		if b == nil {
			b = &burst{}
		}
		k.burst = b
	}
	b.keys = append(b.keys, key)
}

// AskMeta is Ask, after all others, for keys that are not plain, or of which the reply is to
// tell what Req asks for. form puts the key into a request like Req.
func (k *Call) AskMeta(key string, form func(r *memproto.Request, key string)) {
	k.Ask(key)
	k.burst.metas++
	k.burst.form = form
}

// Asked are the keys of a burst, nil if k is none.
func (k *Call) Asked() []string {
	if k.burst == nil {
		return nil
	}
	return k.burst.keys
}

// Answers are the replies to the keys of a burst that is complete, in the order in which
// they were asked; nil if they have not all come, or nothing has proved them, because the connection died.
func (k *Call) Answers() []Answer {
	if k.burst == nil || k.Err != nil || len(k.burst.answers) < len(k.burst.keys) {
		return nil
	}
	return k.burst.answers
}

// valueBytes is how many bytes of value the replies to k brought.
func (k *Call) valueBytes() int {
	if k.burst == nil {
		return len(k.Value)
	}
	return k.burst.bytes
}

// weight is how many keys k asks for.
func (k *Call) weight() int {
	if k.burst == nil {
		return 1
	}
	return len(k.burst.keys)
}

// maxGetLine is the longest classic get command written: memcached treats one of more
// than 2,048 bytes as a special case.
const maxGetLine = 2000

// fewKeys is up to how many keys go by meta gets all, if nobody is there to share a command: memcached writes the replies to a classic
// get, and then those to the meta gets behind it, with a system call each.
const fewKeys = 20

// fewNow is fewKeys, 0 where others may share.
func (c *Conn) fewNow() int {
	if c.Company() {
		return 0
	}
	return c.few
}

// encode writes all requests, those with tokens with ones that begin with op. Up to few keys all have one.
func (b *burst) encode(like *memproto.Request, op []byte, few int) {
	classic := len(b.keys) - max(b.metas, 1)
	if len(b.keys) <= few {
		classic = 0
	}
	line, start := b.line[:0], 0
	b.ends, b.getEnd, b.joined, b.proof = b.ends[:0], 0, false, 0
	for i, key := range b.keys[:classic] {
		if i == 0 || len(line)-start+len(key)+3 > maxGetLine {
			if i > 0 {
				line = append(line, '\r', '\n')
				b.ends = append(b.ends, i)
			}
			start = len(line)
			line = append(line, "get"...)
			if like.Flags.Has(memproto.FlagLc) {
				line = append(line, 's') // gets: the replies have the CAS value
			}
		}
		line = append(append(line, ' '), key...)
	}
	if classic > 0 {
		line = append(line, '\r', '\n')
		b.ends = append(b.ends, classic)
	}
	if len(b.ends) == 1 {
		b.getEnd = len(line)
	}
	b.req = *like
	flags := b.req.Flags
	for i, key := range b.keys[classic:] {
		b.req.Flags = flags
		if b.form == nil {
			b.req.Key = memproto.StringBytes(key)
		} else {
			b.form(&b.req, key)
		}
		if len(op) > 0 {
			b.req.Opaque = b.appendToken(op, classic+i)
		}
		line = b.req.AppendLine(line)
	}
	b.line, b.req = line, memproto.Request{}
}

// appendToken makes the token of the key at position i.
func (b *burst) appendToken(op []byte, i int) []byte {
	return strconv.AppendUint(append(append(b.token[:0], op...), '.'), uint64(i), 36)
}

// matchBurst is match for the burst k, the head. The replies to a classic command may be those of the bursts behind
// it, too: sharing says which is being answered.
func (c *Conn) matchBurst(k *Call) (bool, error) {
	r, b := &c.resp, k.burst
	if b.done == len(b.ends) {
		c.sharing = b.proof
		if b.proof > 0 {
			k = c.behind(b.proof)
		}
		err := k.burst.proves(r, k.opaque[:k.opaqueN])
		return err == nil, err
	}
	switch r.Status {
	case memproto.StatusEnd:
		for i := 0; b != nil; i++ {
			b.missed(b.ends[b.done])
			b.done++
			b = c.sharer(i + 1)
		}
		c.sharing = 0
		return false, nil
	case memproto.StatusValue:
		r.Status = memproto.StatusVA
		_, err := c.burstOf(r.Key)
		return err == nil, err
	}
	return false, misfit(r.Status, memproto.CmdGet)
}

// burstOf goes on to the burst, of those that share the classic get under way, that a value of key is for: the head's, or one
// behind it.
func (c *Conn) burstOf(key []byte) (*burst, error) {
	for b := c.answered(); b != nil; b = c.sharer(c.sharing) {
		if b.find(key) {
			return b, nil
		}
		c.sharing++ // the rest of its keys is missed: END says so
	}
	return nil, errNotAsked
}

// errNotAsked is desynchronization seen by a key.
var errNotAsked = fmt.Errorf("%w: a value of a key that was not asked for", item.ErrDesync)

// proves returns nil if r is the reply to the meta get that is next; op is the call's part of the tokens.
func (b *burst) proves(r *memproto.Response, op []byte) error {
	if r.Status != memproto.StatusVA && r.Status != memproto.StatusHD && r.Status != memproto.StatusEN {
		return misfit(r.Status, memproto.CmdMetaGet)
	}
	if len(op) > 0 && string(r.Opaque) != string(b.appendToken(op, len(b.answers))) {
		return fmt.Errorf("%w: wrong opaque token in a reply to one of many keys", item.ErrDesync)
	}
	return nil
}

// find goes on to key in the classic command being answered: values come in the order of the keys, and none for those
// that are not there. It returns false if key is not among what is left of them.
func (b *burst) find(key []byte) bool {
	for i := len(b.answers); i < b.ends[b.done]; i++ {
		if b.keys[i] == string(key) {
			b.missed(i)
			return true
		}
	}
	return false
}

// missed answers all keys before position end that have no answer.
func (b *burst) missed(end int) {
	for len(b.answers) < end {
		b.answers = append(b.answers, Answer{Resp: Reply{Status: memproto.StatusEN}})
	}
}

// take adds the reply to the key that is next; true if it was the last.
func (b *burst) take(r *memproto.Response, value []byte) bool {
	b.answers = append(b.answers, Answer{Value: value})
	a := &b.answers[len(b.answers)-1]
	a.Resp.set(r)
	a.Resp.Bare = b.done < len(b.ends)
	b.bytes += len(value)
	return len(b.answers) == len(b.keys)
}

// keepBurst is the most memory for requests that an unused burst keeps.
const keepBurst = 64 << 10

func (p *Pool) putBurst(b *burst) {
	clear(b.keys)
	clear(b.answers) // their values are the callers'
	b.keys, b.answers, b.bytes, b.form = b.keys[:0], b.answers[:0], 0, nil
	b.metas, b.done, b.getEnd, b.joined, b.proof = 0, 0, 0, false, 0
	if cap(b.line) > keepBurst {
		b.line = nil
	}
	p.bursts.Put(b)
}

// opaque gives k a token and returns it.
func (c *Conn) opaque(k *Call) []byte {
	op := strconv.AppendUint(k.opaque[:0], c.seq.Add(1), 36)
	k.opaqueN = uint8(len(op))
	return op
}
