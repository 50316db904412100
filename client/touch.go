package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Touch gives the item at key a new TTL on every live copy, by the rules of Item.TTL;
// ErrCacheMiss if the home copy does not hold it. A copy that could not be reached
// keeps its old TTL.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	f, err := c.touch(ctx, "touch", key, ttl, readOptions{flags: memproto.FlagLf | memproto.FlagLs})
	if err == nil {
		f.call.Free()
	}
	return err
}

// GetAndTouch is Touch and returns the item; Item.TTL is ttl.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (item.Item, error) {
	f, err := c.touch(ctx, "get and touch", key, ttl, readOptions{flags: getFlags})
	if err != nil {
		return item.Item{}, err
	}
	defer f.call.Free()
	it := itemOf(key, &f.call.Answer)
	it.TTL, it.CAS = ttl, 0
	return it, nil
}

// touch gives key a new TTL and reads it as o says. The flight it returns holds a
// value's reply, whose call must be freed.
func (c *Client) touch(ctx context.Context, op, key string, ttl time.Duration, o readOptions) (flight, error) {
	exp, err := exptime(ttl)
	if err != nil {
		return flight{}, &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	if err := c.check(ctx, op, key); err != nil {
		return flight{}, err
	}
	t := c.top.Load()
	hash := t.ring.Hash(key)
	// An entry in memory may outlive a shortened TTL.
	c.near.Drop(hash, key)
	defer c.wrote(hash, key)
	o.flags |= memproto.FlagLc | memproto.FlagT
	o.exptime = exp

	// The other live copies are asked beside the home copy; their answers don't count,
	// and their values need not travel.
	beside := o
	beside.flags = o.flags&^memproto.FlagLv | memproto.FlagLs
	home := c.home(t, hash, key)
	var mem [maxCopies]flight
	others := mem[:0]
	var list [maxCopies]*node
	also := func(n *node) {
		k := n.newCall()
		beside.request(&k.Req, key)
		if ctx.Done() != nil {
			k.Settler, k.SettleKey = beside.settler(), key
		}
		others = append(others, n.launch(ctx, op, k))
	}
	for _, n := range t.holders(hash, list[:0]) {
		if n != home && n.breaker.Writable() {
			also(n)
		}
	}
	f, err := c.readRestored(ctx, op, hash, key, o)
	if err == nil && home != nil && f.n != home && home.breaker.Writable() {
		also(home) // another copy has come up since, and was read
	}
	sent := false
	for i := range others {
		_, failed := others[i].wait(ctx)
		sent = sent || failed == nil || !item.SafeToRetry(failed)
		if failed == nil {
			touched(others[i].conn, others[i].call, key)
			others[i].call.Free()
		}
	}
	if err != nil {
		if sent {
			err = partly(op, err)
		}
		return flight{}, c.readFailed(err)
	}
	if f.call.Resp.Status == memproto.StatusEN || touched(f.conn, f.call, key) {
		f.call.Free()
		c.counters.misses.Add(1)
		return flight{}, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	c.detector.Observe(hash, key, len(f.call.Value))
	if exp == memproto.ExptimeExpired {
		// The copies have heard of it in no order: see setExpired.
		if _, err := c.deleteKey(ctx, op, key, hash); err != nil {
			f.call.Free()
			c.counters.errors.Add(1)
			return flight{}, partly(op, err)
		}
	}
	return f, nil
}

// touched repairs what a touch may have done to a lease: true if it met a stub. A
// stub with a longer life would keep everyone waiting for a winner that died, so it
// is removed: the winner's fill misses, and the next reader wins.
func touched(conn *pipe.Conn, k *pipe.Call, key string) bool {
	if !k.Resp.HasCAS {
		return false
	}
	kind := tokenKind(&k.Answer)
	if kind == item.TokenStub {
		postHandBack(conn, key, k.Resp.CAS, true)
		return true
	}
	if k.Resp.Flags.Has(memproto.FlagW) {
		postHandBack(conn, key, k.Resp.CAS, false)
	}
	return false
}

// lateTouch is the Settler of touches: the repair does not depend on the caller.
type lateTouch struct{}

func (lateTouch) Settle(conn *pipe.Conn, k *pipe.Call) {
	if k.Err == nil {
		touched(conn, k, k.SettleKey)
	}
}
