package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Touch gives the item at key a new TTL on every live copy; ErrCacheMiss if the home
// copy does not hold it. A copy that could not be reached keeps its old TTL.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	_, err := c.touch(ctx, "touch", key, ttl, memproto.FlagLf|memproto.FlagLs|memproto.FlagLc)
	return err
}

// GetAndTouch is Touch and returns the item.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (item.Item, error) {
	return c.touch(ctx, "get and touch", key, ttl, getFlags|memproto.FlagLc)
}

func (c *Client) touch(ctx context.Context, op, key string, ttl time.Duration, flags memproto.Flags) (item.Item, error) {
	exp, err := exptime(ttl)
	if err != nil {
		return item.Item{}, &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	if err := c.check(ctx, op, key); err != nil {
		return item.Item{}, err
	}
	t := c.top.Load()
	hash := t.ring.Hash(key)
	// An entry in memory may outlive a shortened TTL.
	c.near.Drop(hash, key)
	defer c.near.Drop(hash, key)
	o := readOptions{flags: flags | memproto.FlagT, exptime: exp}

	// The other live copies are asked beside the home copy; their answers don't count.
	home := c.home(t, hash, key)
	var mem [maxCopies]flight
	others := mem[:0]
	for _, at := range t.ring.LookupHash(hash) {
		if n := t.nodes[at]; n != home && n.breaker.Writable() {
			k := n.newCall()
			o.request(&k.Req, key)
			if ctx.Done() != nil {
				k.Settler = o.settler(n, key)
			}
			others = append(others, n.launch(ctx, op, k))
		}
	}
	f, err := c.readHome(ctx, op, hash, key, o)
	for i := range others {
		if _, err := others[i].wait(ctx); err == nil {
			touched(others[i].conn, others[i].call, key)
			others[i].call.Free()
		}
	}
	if err != nil {
		return item.Item{}, c.readFailed(err)
	}
	defer f.call.Free()
	if f.call.Resp.Status == memproto.StatusEN || touched(f.conn, f.call, key) {
		c.counters.misses.Add(1)
		return item.Item{}, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	c.detector.Observe(hash, key, len(f.call.Value))
	it := itemOf(key, f.call)
	it.TTL = ttl
	it.CAS = 0
	return it, nil
}

// touched repairs what a touch may have done to a lease: true if it met a stub. A
// stub with a longer life would keep everyone waiting for a winner that died, so it
// is removed: the winner's fill misses, and the next reader wins.
func touched(conn *pipe.Conn, k *pipe.Call, key string) bool {
	if !k.Resp.HasCAS {
		return false
	}
	kind := tokenKind(k)
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
type lateTouch struct{ key string }

func (s lateTouch) Settle(conn *pipe.Conn, k *pipe.Call) {
	if k.Err == nil {
		touched(conn, k, s.key)
	}
}
