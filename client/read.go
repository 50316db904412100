package client

import (
	"context"
	"errors"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
)

// getFlags is what a plain read asks for: value, client flags, remaining life.
const getFlags = memproto.FlagLv | memproto.FlagLf | memproto.FlagLt

// Get returns the item at key, ErrCacheMiss if there is none. It asks the near-cache
// if there is one, then the home copy, the first of the key's copies that this
// client believes alive; a failure moves on to the next copy. A miss on the home
// copy is a miss. Item.TTL is the remaining life in whole seconds, 0 if it has no
// end or the node can't tell (Tier0). With a near-cache the Value may be shared with other readers: don't write to
// it; and a miss, too, may be as old as its bound allows.
func (c *Client) Get(ctx context.Context, key string) (item.Item, error) {
	const op = "get"
	if err := c.check(ctx, op, key); err != nil {
		return item.Item{}, err
	}
	hash := c.top.Load().ring.Hash(key)
	if v, ok := c.near.Get(hash, key); ok {
		if v.Missing {
			return item.Item{}, c.remembered(hash, key)
		}
		c.detector.Observe(hash, key, len(v.Bytes))
		return item.Item{Key: key, Value: v.Bytes, Flags: v.Flags}, nil
	}
	return c.getFromNode(ctx, op, hash, key, nil)
}

// GetInto is Get with the caller's memory: the value is appended to dst[:0], and
// Item.Value is the result, which has dst's memory if it was large enough. The Value
// is never shared. It allocates nothing then, unless ctx can end: as in every call,
// that costs up to 3 small allocations.
func (c *Client) GetInto(ctx context.Context, key string, dst []byte) (item.Item, error) {
	const op = "get"
	if err := c.check(ctx, op, key); err != nil {
		return item.Item{}, err
	}
	hash := c.top.Load().ring.Hash(key)
	if v, ok := c.near.Get(hash, key); ok {
		if v.Missing {
			return item.Item{}, c.remembered(hash, key)
		}
		c.detector.Observe(hash, key, len(v.Bytes))
		return item.Item{Key: key, Value: append(dst[:0], v.Bytes...), Flags: v.Flags}, nil
	}
	if dst == nil {
		dst = []byte{}
	}
	return c.getFromNode(ctx, op, hash, key, dst)
}

// getFromNode reads from the home copy; into dst unless that is nil.
func (c *Client) getFromNode(ctx context.Context, op string, hash uint64, key string, dst []byte) (item.Item, error) {
	if it, ok := c.readScattered(ctx, op, hash, key); ok {
		if dst != nil {
			it.Value = append(dst[:0], it.Value...)
		}
		return it, nil
	}
	if c.steers() {
		if it, ok := c.readAround(ctx, op, hash, key); ok {
			if dst != nil {
				it.Value = append(dst[:0], it.Value...)
			}
			return it, nil
		}
		if err := c.checkCall(ctx, op); err != nil {
			return item.Item{}, c.readFailed(err)
		}
	}
	gen, flags := c.near.Generation(hash), memproto.Flags(getFlags)
	if c.near != nil && c.detector.Level(hash, key) >= nearLevel {
		flags |= memproto.FlagLc // what memory holds is compared by it later
	}
	asks := c.detector.AsksElsewhere(hash)
	if asks {
		flags |= elsewhereFlags
	}
	f, err := c.readHome(ctx, op, hash, key, readOptions{flags: flags, borrow: dst != nil, hedge: true})
	if err != nil && c.gutter != nil && c.retriable(ctx) && !errors.Is(err, errNothing) {
		if it, ok, err := c.getSpare(ctx, op, hash, key); ok {
			if dst != nil && err == nil {
				it.Value = append(dst[:0], it.Value...)
			}
			return it, err
		}
	}
	if err != nil {
		return item.Item{}, c.readFailed(err)
	}
	k := f.call
	defer k.Free()
	if asks {
		c.hearElsewhere(&k.Answer, hash, key)
	}
	if k.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(ctx, f, &f.call.Answer, key)
	}
	if k.Resp.Status != memproto.StatusVA || isStub(&k.Answer) {
		if c.cold.nodes.Load() > 0 {
			var it item.Item
			var ok bool
			switch {
			case k.Resp.Status == memproto.StatusEN:
				it, ok = c.restoreIfLacking(ctx, op, hash, key, f.n)
			case isStub(&k.Answer):
				it, ok = c.besideStub(ctx, op, c.top.Load(), hash, key, f.n)
			}
			if ok {
				c.counters.nodeHits.Add(1)
				c.detector.Observe(hash, key, len(it.Value))
				if dst != nil {
					it.Value = append(dst[:0], it.Value...)
				}
				return it, nil
			}
		}
		if c.detector.Observe(hash, key, 0) > hotkey.LevelCold && k.Resp.Status == memproto.StatusEN {
			c.missNear(f, hash, key, gen)
		}
		c.counters.misses.Add(1)
		return item.Item{}, item.ErrCacheMiss
	}
	if c.cold.nodes.Load() > 0 {
		c.revive(hash, key, f.n)
	}
	if !c.without.stats {
		c.counters.nodeHits.Add(1)
	}
	if !c.without.detection {
		c.observe(f, &k.Answer, hash, key, gen)
	}
	it := itemOf(key, &k.Answer)
	it.CAS = 0 // asked for on account of memory alone
	if dst != nil {
		it.Value = append(dst[:0], it.Value...)
	}
	return it, nil
}

// readRequest is a plain read, of whichever copy.
func readRequest(key string) memproto.Request {
	r := memproto.Request{Cmd: memproto.CmdMetaGet, Flags: getFlags}
	setKey(&r, key)
	return r
}

// itemOf makes an item of a reply to a read with getFlags.
func itemOf(key string, a *pipe.Answer) item.Item {
	it := item.Item{Key: key, Value: a.Value, Flags: flagsIn(a.Resp.ClientFlags), CAS: a.Resp.CAS}
	if a.Resp.TTL > 0 {
		it.TTL = time.Duration(a.Resp.TTL) * time.Second
	}
	return it
}

// errNothing is what a read returns inside the client when every copy is barred from
// reads of this key by what it is owed: to the raw client a miss, to a lease a load
// without caching (consistency rule 7).
var errNothing = errors.New("memherd: no copy of the key may be read")

// readFailed gives a read's failure its public form.
func (c *Client) readFailed(err error) error {
	if errors.Is(err, errNothing) {
		c.counters.misses.Add(1)
		return item.ErrCacheMiss
	}
	c.counters.readErrors.Add(1)
	return err
}

// readOptions are the ways in which reads of the home copy differ.
type readOptions struct {
	flags   memproto.Flags
	vivify  int64 // the argument of N
	exptime int64 // the argument of T
	recache int64 // the argument of R
	lease   bool  // the request may win a lease: a win that comes late is given back
	borrow  bool  // the caller copies the value
	hedge   bool  // the answer to a plain read of another copy will do
	alone   bool  // no other copy is asked when it fails
}

// request makes the meta get of a read.
func (o *readOptions) request(r *memproto.Request, key string) {
	r.Cmd, r.Flags = memproto.CmdMetaGet, o.flags
	r.Vivify, r.Exptime, r.Recache = o.vivify, o.exptime, o.recache
	setKey(r, key)
}

// settler is who learns the reply if the caller leaves before it is there.
func (o *readOptions) settler() pipe.Settler {
	switch {
	case o.lease:
		return lateLease{}
	case o.flags.Has(memproto.FlagT):
		return lateTouch{}
	}
	return lateRead{}
}

// readHome sends a meta get for key to the home copy, and to the next copy when that fails.
// Every copy is asked once; if there is only one left and its connection broke, it
// is asked once more on a new one, because the node may have shed an idle connection.
func (c *Client) readHome(ctx context.Context, op string, hash uint64, key string, o readOptions) (flight, error) {
	t := c.top.Load()
	var mem [maxCopies]*node
	copies := t.copies(hash, mem[:0])
	var last, unsure error // unsure: the last after which the request may have run
	var asked uint64       // bit i: copy i has had its chance
	barred := false
	var tried *node // last
tries:
	for j := range 2 * len(copies) {
		i := j % len(copies)
		if j == len(copies) && last == nil {
			break
		}
		// The second time around is for a copy that was down when the first time began
		// and is up now: one node lost after the other is no loss of two.
		n := copies[i]
		if asked&(1<<i) != 0 || !n.breaker.Readable() {
			continue
		}
		asked |= 1 << i
		if n.debt.Blocks(key) || c.cold.nodes.Load() > 0 && t.tainted(hash, key, n, copies[i+1:]) {
			barred = true
			continue
		}
		for try := 0; try < 2; try++ {
			if last != nil && !c.mayRetry(item.SafeToRetry(last)) {
				break tries
			}
			if last != nil && tried != n {
				c.counters.failovers.Add(1)
				c.cfg.Hooks.failover(op, tried.Name, last)
			}
			tried = n
			k := n.newCall()
			o.request(&k.Req, key)
			k.Borrow = o.borrow
			if ctx.Done() != nil {
				k.Settler, k.SettleKey = o.settler(), key
			}
			f := n.launchRead(ctx, op, k)
			left, err := false, error(nil)
			if second := c.second(t, hash, key, copies, i, &o); second != nil {
				f, left, err = c.hedgedWait(ctx, f, second, key, &o)
			} else {
				left, err = f.wait(ctx)
			}
			if err == nil {
				return f, nil
			}
			n.orphanLease(key, o.flags, left, err)
			last = err
			if !item.SafeToRetry(err) {
				unsure = err
			}
			if !c.retriable(ctx) {
				return f, bothOf(unsure, err)
			}
			if i < len(copies)-1 || !errors.Is(err, item.ErrConnLost) || !n.breaker.Readable() {
				break
			}
		}
		if o.alone {
			break
		}
	}
	switch {
	case barred:
		// Even if another copy failed: what this client owes the rest is known, and
		// the loss of one node is to be no error.
		return flight{}, errNothing
	case last != nil:
		return flight{}, bothOf(unsure, last)
	}
	return flight{}, &item.Error{Op: op, Node: copies[0].Name, Sent: item.NotSent, Err: item.ErrNodeDown}
}

// bothOf is the error of a read whose last try was not sent though an earlier one, on
// another copy or another connection, may have been.
func bothOf(unsure, last error) error {
	if unsure == nil || !item.SafeToRetry(last) {
		return last
	}
	return errors.Join(unsure, last)
}

// Gets returns the item at key with its CAS token, from the owner of the key: a token
// means something on one copy only. ErrOwnerDown if the owner is not reachable.
func (c *Client) Gets(ctx context.Context, key string) (item.Item, error) {
	const op = "gets"
	if err := c.check(ctx, op, key); err != nil {
		return item.Item{}, err
	}
	var mem [maxCopies]*node
	t, hash, copies := c.ownerOf(key, mem[:0])
	n := copies[0]
	if !n.breaker.Readable() || n.debt.Blocks(key) {
		return item.Item{}, c.readFailed(&item.Error{Op: op, Node: n.Name, Sent: item.NotSent, Err: item.ErrOwnerDown})
	}
	if c.cold.nodes.Load() > 0 {
		if err := c.bringHome(ctx, op, t, hash, key, n); err != nil {
			return item.Item{}, c.readFailed(err)
		}
	}
	k := n.newCall()
	k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Flags: getFlags | memproto.FlagLc}
	setKey(&k.Req, key)
	if ctx.Done() != nil {
		k.Settler, k.SettleKey = lateRead{}, key
	}
	f := n.launchRead(ctx, op, k)
	if _, err := f.wait(ctx); err != nil {
		return item.Item{}, c.readFailed(err)
	}
	defer f.call.Free()
	if f.call.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(ctx, f, &f.call.Answer, key)
	}
	if f.call.Resp.Status != memproto.StatusVA || isStub(&f.call.Answer) {
		c.counters.misses.Add(1)
		return item.Item{}, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	c.detector.Observe(hash, key, len(f.call.Value))
	it := itemOf(key, &f.call.Answer)
	it.Version = item.Version{Node: n.Name, Life: f.life}
	return it, nil
}

// observe counts a hit and, if the key is among the hottest, puts the value into the
// near-cache: only what the home copy said may be there.
func (c *Client) observe(f flight, a *pipe.Answer, hash uint64, key string, gen uint64) {
	level := c.detector.Observe(hash, key, len(a.Value))
	if !c.holds(level) {
		return
	}
	c.fillNear(f, a, hash, key, gen)
}
