package client

import (
	"context"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
)

// GetsMulti is GetMulti with CAS tokens: Item.CAS and Item.Version of each item are fit for
// CompareAndSwap if the node that answered is the key's owner; otherwise that says
// ErrCASConflict. Nothing comes from the near-cache. Item.TTL is not asked for, and is 0.
func (c *Client) GetsMulti(ctx context.Context, keys []string) (map[string]item.Item, error) {
	return c.getMulti(ctx, "gets", keys, true)
}

// GetMultiFunc is GetMulti for callers who have a place of their own for what is found: fn is called once
// for each key that is there, in no order, by one goroutine at a time, and not after GetMultiFunc has
// returned. It must not block: other callers' replies may wait behind it. What fn has been given
// before an error counts. A nil fn is ErrConfig.
func (c *Client) GetMultiFunc(ctx context.Context, keys []string, fn func(item.Item)) error {
	return c.eachOf(ctx, "get", keys, false, fn)
}

// GetsMultiFunc is to GetsMulti what GetMultiFunc is to GetMulti.
func (c *Client) GetsMultiFunc(ctx context.Context, keys []string, fn func(item.Item)) error {
	return c.eachOf(ctx, "gets", keys, true, fn)
}

// getMulti is GetMulti, or, with tokens, GetsMulti.
func (c *Client) getMulti(ctx context.Context, op string, keys []string, tokens bool) (map[string]item.Item, error) {
	if err := c.checkKeys(ctx, op, keys); err != nil {
		return nil, err
	}
	var found map[string]item.Item
	err := c.readEach(ctx, op, keys, tokens, func(it *item.Item) {
		if found == nil { // not before: its memory would be cold again when the answers come
			found = make(map[string]item.Item, len(keys))
		}
		found[it.Key] = *it
	})
	if found == nil {
		found = map[string]item.Item{}
	}
	return found, err
}

// eachOf is GetMultiFunc, or, with tokens, GetsMultiFunc.
func (c *Client) eachOf(ctx context.Context, op string, keys []string, tokens bool, fn func(item.Item)) error {
	if err := c.checkKeys(ctx, op, keys); err != nil {
		return err
	}
	if fn == nil {
		return &item.Error{Op: op, Sent: item.NotSent, Err: configError("no function takes what is found")}
	}
	return c.readEach(ctx, op, keys, tokens, func(it *item.Item) { fn(*it) })
}

// checkKeys refuses a call of which nothing is to be sent.
func (c *Client) checkKeys(ctx context.Context, op string, keys []string) error {
	for _, key := range keys {
		if err := c.CheckKey(key); err != nil {
			return c.check(ctx, op, key)
		}
	}
	return c.checkCall(ctx, op)
}

// readEach gives what it finds of keys, which have been checked, to give.
func (c *Client) readEach(ctx context.Context, op string, keys []string, tokens bool, give func(*item.Item)) error {
	g, ok := c.multiGets.Get().(*multiGet)
	if !ok {
		g = &multiGet{c: c}
	}
	g.op, g.tokens = op, tokens
	g.t, g.give = c.top.Load(), give
	g.admit(keys)
	suffixes := g.askSuffixes(ctx)
	// Each round asks every key still open from the next of its copies; one more, if an
	// owner is slow, is for other copies before, and one before for those that suffix copies are asked for.
	for range g.t.ring.Copies() + 2 {
		asked := g.round(ctx)
		if reopened := g.takeSuffixes(ctx, suffixes); !asked && !reopened {
			break
		}
		suffixes = nil
	}
	g.askSkipped(ctx)
	if c.gutter != nil && c.retriable(ctx) {
		g.getSpares(ctx)
		if g.between() {
			g.askSkipped(ctx)
		}
	}
	if len(g.cold) > 0 {
		g.restoreMany(ctx)
	}
	err := g.err(ctx)
	// Not deferred: a panic of give leaves behind what is under way, which no other call may find in this memory.
	g.free()
	return err
}

// held is what memory has of key. It has no token, and is not asked where one is wanted.
func (g *multiGet) held(hash uint64, key string) (hotkey.Value, bool) {
	if g.tokens {
		return hotkey.Value{}, false
	}
	return g.c.near.Get(hash, key)
}

// askSkipped asks, as for one key, copies that were passed over because they were down: they may be up now.
func (g *multiGet) askSkipped(ctx context.Context) {
	for i := range g.asks {
		g.asks[i].next = 0
	}
	for range g.t.ring.Copies() {
		if !g.skipped || !g.round(ctx) {
			break
		}
	}
}

// disband ends a round.
func (g *multiGet) disband() {
	for _, i := range g.used {
		g.groups[i] = g.groups[i][:0]
	}
	g.used = g.used[:0]
}

// flags are what the keys of g are asked for.
func (g *multiGet) flags() memproto.Flags {
	if g.tokens {
		return getFlags | memproto.FlagLc
	}
	return getFlags
}
