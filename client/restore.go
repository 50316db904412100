package client

import (
	"context"
	"sync"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// restoreFlags is what is asked of the copy that a value is to be brought back to: whether
// it has one by now, and else the right to fill it.
const restoreFlags = getFlags | memproto.FlagLc

// hold is how long after the token's answer a filler reads another copy, if the copy it
// fills is not the owner (consistency rule 4). A delete goes to the owner last. So one that
// has passed the copy before the token was taken has passed the others, too, if that
// copy is the owner; if not, it may be on its way, and is given this long.
const hold = time.Second

// restoreIfLacking is restore after a miss on home, if that may be no miss.
func (c *Client) restoreIfLacking(ctx context.Context, op string, hash uint64, key string, home *node) (item.Item, bool) {
	t := c.top.Load()
	if !t.lacks(hash, home) {
		return item.Item{}, false
	}
	return c.restore(ctx, op, t, hash, key, home, nil)
}

// readRestored is readHome for reads that ask more of the home copy than a value: what that one
// lacks is brought there, and it is asked again.
func (c *Client) readRestored(ctx context.Context, op string, hash uint64, key string, o readOptions) (flight, error) {
	var f flight
	err := c.readHome(ctx, op, hash, key, &o, &f)
	if err != nil || c.cold.nodes.Load() == 0 {
		return f, err
	}
	if f.call.Resp.Status != memproto.StatusEN {
		return c.orBeside(ctx, op, hash, key, &o, f)
	}
	if _, ok := c.restoreIfLacking(ctx, op, hash, key, f.n); !ok {
		if err = c.leftUnclear(ctx, op, hash, f.n); err != nil {
			f.call.Free()
		}
		return f, err
	}
	f.call.Free()
	if err = c.readHome(ctx, op, hash, key, &o, &f); err != nil {
		return f, err
	}
	return c.orBeside(ctx, op, hash, key, &o, f)
}

// orBeside is f, or, if that home copy has nothing yet of what is being brought to it, a read of another node that has it: see besideStub. A touch
// is none: it has been to the others.
func (c *Client) orBeside(ctx context.Context, op string, hash uint64, key string, o *readOptions, f flight) (flight, error) {
	t, home := c.top.Load(), f.n
	if showsItem(&f) || o.flags.Has(memproto.FlagT) || !t.lacks(hash, home) || home.debt.Blocks(key) {
		return f, nil
	}
	drop := func(f *flight) {
		f.call.SettleKey = key
		o.settler().Settle(f.conn, f.call) // as if it had come late
		f.call.Free()
	}
	var mem [2 * maxCopies]*node
	for _, n := range t.everywhere(hash, false, mem[:0]) {
		if !n.source(home, key) {
			continue
		}
		var g flight
		n.ask(ctx, op, key, o, &g)
		if _, err := g.wait(ctx); err != nil {
			continue
		}
		if showsItem(&g) && !g.call.Resp.Flags.Has(memproto.FlagX) {
			drop(&f)
			return g, nil
		}
		drop(&g)
	}
	err := c.leftUnclear(ctx, op, hash, home)
	if err != nil {
		drop(&f)
	}
	return f, err
}

// showsItem reports whether a reply, with or without its value, is of an item that is no stub.
func showsItem(f *flight) bool {
	s := f.call.Resp.Status
	return (s == memproto.StatusVA || s == memproto.StatusHD) && tokenKind(&f.call.Answer) != item.TokenStub
}

// leftUnclear is the error of a read whose caller has left before it was known whether another copy has what home lacks; nil if he has not.
func (c *Client) leftUnclear(ctx context.Context, op string, hash uint64, home *node) error {
	if ctx.Err() == nil || !c.top.Load().lacks(hash, home) {
		return nil
	}
	return &item.Error{Op: op, Node: home.Name, Err: ctx.Err()}
}

// besideStub returns what another node has of a key that somebody is bringing to home, or
// loads for it: who restores a copy holds its stub for as long as hold, and nobody is to wait for that.
func (c *Client) besideStub(ctx context.Context, op string, t *topology, hash uint64, key string, home *node) (item.Item, bool) {
	if !t.lacks(hash, home) || home.debt.Blocks(key) {
		return item.Item{}, false
	}
	it, found := c.lookAround(ctx, op, t, hash, key, home, false)
	it.CAS = 0
	return it, found == foundValue
}

// restore brings key back to a home copy that is cold, or its owner only since the fleet
// changed, and has just missed it, from another copy or an old one, and returns its value. tok is the right to fill, if the caller has won it;
// else restore takes it, and gives it back if there is nothing to fill. It returns
// false if no copy has the key, or somebody else is about to fill it.
//
// The order is what keeps a deleted value dead: the token first, then the other copy. A
// delete that comes between the two voids the token, and one that came before has deleted the
// other copy already, because it goes to the owner last. If the home copy is not the
// owner (that one is down), the value is served and not stored.
func (c *Client) restore(ctx context.Context, op string, t *topology, hash uint64, key string, home *node, tok *item.Token) (item.Item, bool) {
	if home.debt.Blocks(key) {
		return item.Item{}, false
	}
	own := tok == nil
	if own {
		// A look first: a stub is made only for a key that some copy has. One that none has
		// may be a counter about to be created, which a stub would be in the way of.
		there, found := c.lookAround(ctx, op, t, hash, key, home, false)
		if found != foundValue {
			return item.Item{}, false
		}
		won, it, what, _ := home.winStub(ctx, op, key, c.leaseRead(0, restoreFlags))
		switch what {
		case stubNone:
			return item.Item{}, false
		case stubFilled:
			return it, true // since we missed it
		case stubTaken:
			return there, true // somebody else is bringing it
		}
		tok = &won
	}
	if it, found := c.lookAround(ctx, op, t, hash, key, home, false); found == foundValue {
		owner := home == t.owner(hash)
		if owner && !t.shared(hash, home) {
			c.refill(ctx, op, home, *tok, it)
		} else {
			c.giveBack(&item.Lease{Key: key, Tokens: []item.Token{*tok}})
			if owner {
				c.reviveOn(hash, key, home) // waits for hold
			}
		}
		it.CAS = 0
		return it, true
	}
	if own {
		c.giveBack(&item.Lease{Key: key, Tokens: []item.Token{*tok}})
	}
	return item.Item{}, false
}

// source reports whether n may serve as the source of a value for the copy on target.
func (n *node) source(target *node, key string) bool {
	return n != target && n.breaker.Readable() && !n.debt.Blocks(key)
}

// refill stores it under tok with what is left of its life. Whatever it comes to, the
// caller has its value; a token that was not used up runs out.
func (c *Client) refill(ctx context.Context, op string, n *node, tok item.Token, it item.Item) {
	if c.storeUnderToken(ctx, op, n, tok, it) {
		c.counters.restored.Add(1)
	}
}

// storeUnderToken stores it on n, unless tok is void by now, and reports whether it has.
func (c *Client) storeUnderToken(ctx context.Context, op string, n *node, tok item.Token, it item.Item) bool {
	var req memproto.Request
	err := c.storeRequest(op, &it, &req)
	if err != nil {
		c.giveBack(&item.Lease{Key: it.Key, Tokens: []item.Token{tok}})
		return false
	}
	f := n.launch(ctx, op, n.storeUnder(&req, tok))
	if _, err := f.wait(ctx); err != nil {
		n.orphanWin(it.Key, tok)
		return false
	}
	defer f.call.Free()
	return f.call.Resp.Status == memproto.StatusHD
}

// restoreMany is restore for the keys at these positions of a GetMulti, a few at a time.
func (g *multiGet) restoreMany(ctx context.Context) {
	const atATime = 16
	var mu sync.Mutex // guards next, found, and what g counts
	next := 0
	var found []item.Item // given by the caller's own goroutine: a panic of who takes it is the caller's
	work := func() {
		for {
			mu.Lock()
			if next == len(g.cold) {
				mu.Unlock()
				return
			}
			m := g.cold[next]
			next++
			mu.Unlock()
			a := &g.asks[m.i]
			it, ok := item.Item{}, false
			if ctx.Err() == nil {
				it, ok = g.c.restore(ctx, g.op, g.t, a.hash, a.key, m.n, nil)
			}
			left := g.c.leftUnclear(ctx, g.op, a.hash, m.n)
			mu.Lock()
			switch {
			case ok:
				it.TTL = 0
				found = append(found, it)
				g.hits++
				g.misses--
			case left != nil:
				g.fail(m.n, left)
				a.open = true
				g.misses--
			}
			mu.Unlock()
		}
	}
	var wg sync.WaitGroup
	for range min(atATime, len(g.cold)) {
		wg.Go(work)
	}
	wg.Wait()
	for i := range found {
		g.give(&found[i])
	}
}
