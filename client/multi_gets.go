package client

import (
	"context"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// GetsMulti is GetMulti with CAS tokens: Item.CAS and Item.Version of each item are fit for
// CompareAndSwap if the node that answered is the key's owner; otherwise that says
// ErrCASConflict. Nothing comes from the near-cache. Item.TTL is not asked for, and is 0.
func (c *Client) GetsMulti(ctx context.Context, keys []string) (map[string]item.Item, error) {
	return c.getMulti(ctx, "gets", keys, true)
}

// getMulti is GetMulti, or, with tokens, GetsMulti.
func (c *Client) getMulti(ctx context.Context, op string, keys []string, tokens bool) (map[string]item.Item, error) {
	for _, key := range keys {
		if err := c.check(ctx, op, key); err != nil {
			return nil, err
		}
	}
	if err := c.checkCall(ctx, op); err != nil {
		return nil, err
	}
	g, ok := c.multiGets.Get().(*multiGet)
	if !ok {
		g = &multiGet{c: c}
	}
	defer g.free()
	g.op, g.tokens = op, tokens
	g.t, g.found = c.top.Load(), make(map[string]item.Item, len(keys))
	g.admit(keys)
	// Each round asks every key still open from the next of its copies; one more, if an
	// owner is slow, is for other copies before.
	for range g.t.ring.Copies() + 1 {
		if !g.round(ctx) {
			break
		}
	}
	// As for one key: a copy that was passed over may be up now.
	for i := range g.asks {
		g.asks[i].next = 0
	}
	for range g.t.ring.Copies() {
		if !g.skipped || !g.round(ctx) {
			break
		}
	}
	if len(g.cold) > 0 {
		g.restoreMany(ctx)
	}
	if c.gutter != nil && c.retriable(ctx) {
		g.getSpares(ctx)
	}
	return g.found, g.err(ctx)
}

// flags are what the keys of g are asked for.
func (g *multiGet) flags() memproto.Flags {
	if g.tokens {
		return getFlags | memproto.FlagLc
	}
	return getFlags
}
