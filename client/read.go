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

// getFlags is what a read asks for if what it brings may be kept: value, client flags, remaining life.
const getFlags = plainFlags | memproto.FlagLt

// plainFlags is what a read asks for of which nothing will be kept: it may share a classic get.
const plainFlags = memproto.FlagLv | memproto.FlagLf

// Get returns the item at key, ErrCacheMiss if there is none. It asks the near-cache
// if there is one, then the home copy, the first of the key's copies that this
// client believes alive; a failure moves on to the next copy. A miss on the home
// copy is a miss. Item.TTL is not asked for, and is 0: see GetTTL. With a near-cache the Value may be shared with other readers: don't write to
// it; and a miss, too, may be as old as its bound allows.
func (c *Client) Get(ctx context.Context, key string) (it item.Item, err error) {
	err = c.get(ctx, key, nil, false, &it)
	return it, err
}

// GetTTL is Get, and asks for Item.TTL: the remaining life in whole seconds, 0 if it has no end, or where that can't be told: by a
// node of Tier0, the near-cache, a gutter node, or a copy of a scattered key. Gets that callers make at one moment are asked for together, which costs a node half as
// much; GetTTLs are not, since that tells no TTL.
func (c *Client) GetTTL(ctx context.Context, key string) (it item.Item, err error) {
	err = c.get(ctx, key, nil, true, &it)
	return it, err
}

// GetInto is Get with the caller's memory: the value is appended to dst[:0], and
// Item.Value is the result, which has dst's memory if it was large enough. The Value
// is never shared. It allocates nothing then, unless ctx can end: as in every call,
// that costs up to 3 small allocations.
func (c *Client) GetInto(ctx context.Context, key string, dst []byte) (it item.Item, err error) {
	if dst == nil {
		dst = []byte{}
	}
	err = c.get(ctx, key, dst, false, &it)
	return it, err
}

// Most callers of a busy client are parked in a read, and of each one's stack the part that its read takes is brought into the
// processor's cache when it goes on. With a thousand of them that costs more than all the work done on it, so
// what a parked read's frames hold is kept small: items are passed by pointer, and whatever is not done for a plain hit has
// functions, and so frames, of its own (TestParkedCallsAreShallow).

// get is Get, GetInto and GetTTL: into dst unless that is nil.
func (c *Client) get(ctx context.Context, key string, dst []byte, ttl bool, it *item.Item) error {
	const op = "get"
	if err := c.check(ctx, op, key); err != nil {
		return err
	}
	hash := c.top.Load().ring.Hash(key)
	if c.near != nil {
		if done, err := c.getNear(hash, key, dst, it); done {
			return err
		}
	}
	err := c.getFromNode(ctx, op, hash, key, dst, ttl, it)
	if !ttl {
		it.TTL = 0 // told or not, as the read went
	}
	return err
}

// getNear is a read of the near-cache; false if that can't answer it.
func (c *Client) getNear(hash uint64, key string, dst []byte, it *item.Item) (bool, error) {
	v, ok := c.near.Get(hash, key)
	if !ok {
		return false, nil
	}
	if v.Missing {
		return true, c.remembered(hash, key)
	}
	c.detector.Observe(hash, key, len(v.Bytes))
	it.Key, it.Value, it.Flags = key, v.Bytes, v.Flags
	copyInto(dst, it)
	return true, nil
}

// copyInto puts the value of it into dst, unless that is nil.
func copyInto(dst []byte, it *item.Item) {
	if dst != nil {
		it.Value = append(dst[:0], it.Value...)
	}
}

// getFromNode reads from the home copy; into dst unless that is nil.
func (c *Client) getFromNode(ctx context.Context, op string, hash uint64, key string, dst []byte, ttl bool, it *item.Item) error {
	if c.readsAside() {
		if done, err := c.getAside(ctx, op, hash, key, dst, it); done {
			return err
		}
	}
	gen, o := c.near.Generation(hash), readOptions{flags: plainFlags, borrow: dst != nil, hedge: true}
	asks := c.detector.AsksElsewhere(hash)
	switch level := c.warmth(hash, key); {
	case level >= nearLevel:
		o.flags = getFlags | memproto.FlagLc // what memory holds is compared by it later
	case ttl || level > hotkey.LevelCold: // a miss may be remembered
		o.flags = getFlags
	default:
		if o.share = !asks && c.isPlain(key); !o.share {
			o.flags = getFlags // this very read may make it one of the hottest
		}
	}
	if asks {
		o.flags |= elsewhereFlags
	}
	var f flight
	if err := c.readHome(ctx, op, hash, key, &o, &f); err != nil {
		return c.getFailed(ctx, op, hash, key, dst, ttl, it, err)
	}
	k := f.call
	if asks {
		c.hearElsewhere(&k.Answer, hash, key)
	}
	if k.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(ctx, &f, &k.Answer, key)
	}
	if k.Resp.Status != memproto.StatusVA || isStub(&k.Answer) {
		err := c.getMissed(ctx, &f, hash, key, gen, it)
		k.Free()
		if err == nil {
			copyInto(dst, it)
		}
		return err
	}
	if c.cold.nodes.Load() > 0 {
		c.revive(hash, key, f.n)
	}
	if !c.without.stats {
		c.counters.nodeHits.Add(1)
	}
	if !c.without.detection {
		c.observe(&f, &k.Answer, hash, key, gen)
	}
	readItem(it, key, &k.Answer)
	it.CAS = 0 // asked for on account of memory alone
	copyInto(dst, it)
	k.Free()
	return nil
}

// warmth is how near to being held in memory key is; cold if there is no near-cache.
func (c *Client) warmth(hash uint64, key string) hotkey.Level {
	if c.near == nil {
		return hotkey.LevelCold
	}
	level := c.detector.Level(hash, key)
	if c.nearAll {
		level = max(level, hotkey.LevelCold+1)
	}
	return level
}

// readsAside reports whether some keys may be better read from another place than the home copy.
func (c *Client) readsAside() bool { return c.scattering.keys.Load() != nil || c.steers() }

// getAside reads from another place than the home copy, if key is one of the few that are better read there; false if it is not, or
// there is nothing.
func (c *Client) getAside(ctx context.Context, op string, hash uint64, key string, dst []byte, it *item.Item) (done bool, err error) {
	ok := false
	if *it, ok = c.readScattered(ctx, op, hash, key); ok {
		copyInto(dst, it)
		return true, nil
	}
	if !c.steers() {
		return false, nil
	}
	if *it, ok = c.readAround(ctx, op, hash, key); ok {
		copyInto(dst, it)
		return true, nil
	}
	if err := c.checkCall(ctx, op); err != nil {
		return true, c.readFailed(err)
	}
	return false, nil
}

// getFailed is for a read that no copy has answered.
func (c *Client) getFailed(ctx context.Context, op string, hash uint64, key string, dst []byte, ttl bool, it *item.Item, err error) error {
	if c.gutter != nil && c.retriable(ctx) && !errors.Is(err, errNothing) {
		if spare, ok, missed := c.getSpare(ctx, op, hash, key); ok {
			if missed == nil {
				*it = spare
				copyInto(dst, it)
			}
			return missed
		}
		if c.between(hash, err) {
			return c.getFromNode(ctx, op, hash, key, dst, ttl, it)
		}
	}
	return c.readFailed(err)
}

// getMissed is for a read to which the home copy has answered that it has no value, which may lie elsewhere.
func (c *Client) getMissed(ctx context.Context, f *flight, hash uint64, key string, gen uint64, it *item.Item) error {
	k := f.call
	if c.cold.nodes.Load() > 0 {
		var found item.Item
		var ok bool
		switch {
		case k.Resp.Status == memproto.StatusEN:
			found, ok = c.restoreIfLacking(ctx, f.op, hash, key, f.n)
		case isStub(&k.Answer):
			found, ok = c.besideStub(ctx, f.op, c.top.Load(), hash, key, f.n)
		}
		if ok {
			c.counters.nodeHits.Add(1)
			c.detector.Observe(hash, key, len(found.Value))
			*it = found
			return nil
		}
		if err := c.leftUnclear(ctx, f.op, hash, f.n); err != nil {
			return c.readFailed(err)
		}
	}
	if c.detector.Observe(hash, key, 0) > hotkey.LevelCold && k.Resp.Status == memproto.StatusEN && !k.Resp.Bare {
		c.missNear(f, hash, key, gen)
	}
	c.counters.misses.Add(1)
	return item.ErrCacheMiss
}

// readRequest is a plain read, of whichever copy.
func readRequest(key string) memproto.Request {
	r := memproto.Request{Cmd: memproto.CmdMetaGet, Flags: getFlags}
	setKey(&r, key)
	return r
}

// itemOf makes an item of a reply to a read with getFlags.
func itemOf(key string, a *pipe.Answer) (it item.Item) {
	readItem(&it, key, a)
	return it
}

// readItem is itemOf for an item that is there, and empty.
func readItem(it *item.Item, key string, a *pipe.Answer) {
	it.Key, it.Value, it.Flags, it.CAS = key, a.Value, flagsIn(a.Resp.ClientFlags), a.Resp.CAS
	if a.Resp.TTL > 0 {
		it.TTL = time.Duration(a.Resp.TTL) * time.Second
	}
}

// readFailed gives a read's failure its public form.
func (c *Client) readFailed(err error) error {
	if errors.Is(err, errNothing) {
		c.counters.misses.Add(1)
		return item.ErrCacheMiss
	}
	c.counters.readErrors.Add(1)
	return err
}

// Gets returns the item at key with its CAS token, from the owner of the key: a token
// means something on one copy only. ErrOwnerDown if the owner is not reachable.
func (c *Client) Gets(ctx context.Context, key string) (item.Item, error) {
	const op = "gets"
	if err := c.check(ctx, op, key); err != nil {
		return item.Item{}, err
	}
	it, err := c.gets(ctx, op, key)
	if err != nil {
		return item.Item{}, c.getsFailed(err)
	}
	return it, nil
}

// GetsOrGet is Gets, and where the owner of the key can't be asked, Get: the item has no CAS then. It counts as one read.
func (c *Client) GetsOrGet(ctx context.Context, key string) (item.Item, error) {
	const op = "gets"
	if err := c.check(ctx, op, key); err != nil {
		return item.Item{}, err
	}
	it, err := c.gets(ctx, op, key)
	switch {
	case err == nil:
		return it, nil
	case errors.Is(err, item.ErrCacheMiss) || errors.Is(err, errNothing) || !c.retriable(ctx):
		return item.Item{}, c.getsFailed(err)
	}
	it, second := c.Get(ctx, key)
	var was, is *item.Error
	if errors.As(second, &is) && is.Sent == item.NotSent && errors.As(err, &was) && was.Sent != item.NotSent {
		told := *is
		told.Sent = was.Sent // of the two together something was
		second = &told
	}
	return it, second
}

// getsFailed is readFailed for what gets returns, which has counted a miss already.
func (c *Client) getsFailed(err error) error {
	if errors.Is(err, item.ErrCacheMiss) {
		return err
	}
	return c.readFailed(err)
}

// gets is Gets of a key that has been checked. A failure is not counted, nor has it its public form: see readFailed.
func (c *Client) gets(ctx context.Context, op, key string) (item.Item, error) {
	var mem [maxCopies]*node
	t, hash, copies := c.ownerOf(ctx, key, mem[:0])
	n := copies[0]
	if !n.breaker.Readable() || n.debt.Blocks(key) {
		return item.Item{}, &item.Error{Op: op, Node: n.Name, Sent: item.NotSent, Err: item.ErrOwnerDown}
	}
	brought := c.cold.nodes.Load() > 0 && t.moved(hash, n)
	if brought {
		if err := c.bringHome(ctx, op, t, hash, key, n); err != nil {
			return item.Item{}, err
		}
	}
	f, err := c.getsFrom(ctx, op, t, hash, key, n)
	if err == nil && !isValue(&f) && !brought && n.coldToSome() {
		if _, found := c.lookAround(ctx, op, t, hash, key, n, false); found == foundValue {
			f.call.Free()
			if err := c.bringHome(ctx, op, t, hash, key, n); err != nil {
				return item.Item{}, err
			}
			f, err = c.getsFrom(ctx, op, t, hash, key, n)
		} else if left := c.leftUnclear(ctx, op, hash, n); left != nil {
			f.call.Free()
			err = left
		}
	}
	if err != nil {
		return item.Item{}, err
	}
	defer f.call.Free()
	if !isValue(&f) {
		c.counters.misses.Add(1)
		return item.Item{}, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	c.detector.Observe(hash, key, len(f.call.Value))
	it := itemOf(key, &f.call.Answer)
	it.Version = item.Version{Node: n.Name, Life: f.life}
	return it, nil
}

// isValue reports whether a read of the owner has brought a value, which may be marked stale.
func isValue(f *flight) bool {
	return f.call.Resp.Status == memproto.StatusVA && !isStub(&f.call.Answer)
}

// getsFrom reads key from its owner n, if that may be read, with its token. The call holds the reply and must be freed.
func (c *Client) getsFrom(ctx context.Context, op string, t *topology, hash uint64, key string, n *node) (flight, error) {
	if c.cold.nodes.Load() > 0 && t.tainted(hash, key, n) {
		return flight{}, errNothing
	}
	k := n.newCall()
	k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Flags: getFlags | memproto.FlagLc}
	setKey(&k.Req, key)
	if ctx.Done() != nil {
		k.Settler, k.SettleKey = lateRead{}, key
	}
	f := n.launchRead(ctx, op, k)
	if _, err := f.wait(ctx); err != nil {
		return f, asOwnerDown(err)
	}
	if c.cold.nodes.Load() > 0 && t.tainted(hash, key, n) { // see trusted
		f.call.SettleKey = key
		lateRead{}.Settle(f.conn, f.call)
		f.call.Free()
		return f, errNothing
	}
	if f.call.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(ctx, &f, &f.call.Answer, key)
	}
	return f, nil
}

// observe counts a hit and, if the key is among the hottest, puts the value into the
// near-cache: only what the home copy said may be there.
func (c *Client) observe(f *flight, a *pipe.Answer, hash uint64, key string, gen uint64) {
	level := c.detector.Observe(hash, key, len(a.Value))
	if !c.holds(level) {
		return
	}
	c.fillNear(f, a, hash, key, gen)
}
