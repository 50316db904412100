package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Lease reads key and, if it is missing, asks for the right to fill it: one caller
// in the whole fleet wins it, the others are told to wait. It asks the near-cache,
// then the home copy; a winner also takes a token on every other live copy, so that
// its fill can overwrite nothing that was deleted or written after the load began
// (consistency rule 3). A winner must Fill or Release.
//
// The error is nil whenever the cache answered, a miss included: see
// Lease.State.
func (c *Client) Lease(ctx context.Context, key string, o item.LeaseOptions) (l item.Lease, err error) {
	l.Key = key
	err = c.lease(ctx, &l, &o)
	return l, err
}

// lease is Lease of l.Key. As in get, most of what is not done for a hit has frames of its own.
func (c *Client) lease(ctx context.Context, l *item.Lease, o *item.LeaseOptions) error {
	const op = "lease"
	if err := c.check(ctx, op, l.Key); err != nil {
		return err
	}
	t := c.top.Load()
	hash := t.ring.Hash(l.Key)
	plain := !o.Home && o.Refresh == 0 // any sound value will do
	if c.near != nil && plain && !o.NoNear && c.leaseNear(hash, l) {
		return nil
	}
	l.Placement, l.Copies = t.number, t.ring.Copies()
	l.Generation = c.near.Generation(hash)
	if plain && c.readsAside() && c.leaseAside(ctx, op, hash, l, o) {
		return nil
	}
	read := c.leaseRead(o.TTL, getFlags|memproto.FlagLc)
	asks := o.Refresh == 0 && c.detector.AsksElsewhere(hash)
	if asks {
		read.flags |= elsewhereFlags
	}
	if o.Home {
		read.hedge, read.alone = false, true
	}
	if o.Refresh != 0 {
		read.forRefresh(o)
		l.Asked = time.Now()
	}
	var f flight
	if err := c.readHome(ctx, op, hash, l.Key, &read, &f); err != nil {
		return c.leaseFailed(ctx, op, hash, l, o, err)
	}
	if asks {
		c.hearElsewhere(&f.call.Answer, hash, l.Key)
	}
	c.readLease(l, &f, hash, o)
	f.call.Free()
	if l.State == item.LeaseHit {
		return nil
	}
	return c.leaseMissed(ctx, op, t, hash, l, o, f.n)
}

// leaseNear answers from the near-cache; false if that can't.
func (c *Client) leaseNear(hash uint64, l *item.Lease) bool {
	v, ok := c.near.Value(hash, l.Key)
	if !ok {
		return false
	}
	c.detector.Observe(hash, l.Key, len(v.Bytes))
	l.Level = item.FromNear
	l.Item = item.Item{Key: l.Key, Value: v.Bytes, Flags: v.Flags}
	return true
}

// leaseAside answers from another place than the home copy, as getAside does.
func (c *Client) leaseAside(ctx context.Context, op string, hash uint64, l *item.Lease, o *item.LeaseOptions) bool {
	it, ok := item.Item{}, false
	if !o.NoNear {
		it, ok = c.readScattered(ctx, op, hash, l.Key)
	}
	if !ok && c.steers() {
		it, ok = c.readAround(ctx, op, hash, l.Key)
	}
	if ok {
		l.Item, l.Level = it, item.FromNode
	}
	return ok
}

// leaseFailed is for a lease that no copy has answered.
func (c *Client) leaseFailed(ctx context.Context, op string, hash uint64, l *item.Lease, o *item.LeaseOptions, err error) error {
	switch {
	case errors.Is(err, errNothing):
		c.counters.misses.Add(1)
		l.State = item.LeaseNone
		return nil
	case c.gutter == nil || o.Home || !c.retriable(ctx):
	case c.leaseSpare(ctx, op, hash, l, o):
		return nil
	case c.between(hash, err):
		return c.lease(ctx, l, o)
	}
	return c.readFailed(err)
}

// leaseMissed is for a lease that home has answered, under t, with something else than a hit.
func (c *Client) leaseMissed(ctx context.Context, op string, t *topology, hash uint64, l *item.Lease, o *item.LeaseOptions, home *node) error {
	if !l.Stale && c.cold.nodes.Load() > 0 && t.lacks(hash, home) {
		var it item.Item
		found := false
		switch l.State {
		case item.LeaseWon:
			it, found = c.restore(ctx, op, t, hash, l.Key, home, &l.Tokens[0])
		case item.LeaseWait:
			it, found = c.besideStub(ctx, op, t, hash, l.Key, home)
		}
		if found {
			l.State, l.Item, l.Level, l.Tokens = item.LeaseHit, it, item.FromNode, nil
			c.counters.nodeHits.Add(1)
			return nil
		}
	}
	if l.State != item.LeaseRefresh {
		c.counters.misses.Add(1) // not before: a counter never goes down
	}
	if l.State == item.LeaseWon || l.State == item.LeaseRefresh {
		c.counters.leasesWon.Add(1)
		if err := c.collectTokens(ctx, op, t, hash, l, o.TTL, home); err != nil {
			c.giveBack(l)
			return err
		}
	}
	return nil
}

// leaseRead is a meta get with N: a stub is made if the key is absent.
func (c *Client) leaseRead(ttl time.Duration, flags memproto.Flags) readOptions {
	if ttl == 0 {
		ttl = c.cfg.LeaseTTL
	}
	ttl = clampLease(ttl)
	return readOptions{
		flags: flags | memproto.FlagN, lease: true, hedge: true,
		vivify: int64((ttl + time.Second - 1) / time.Second),
	}
}

// askLease asks n for a lease, and sees to what may be left of it if that fails. The flight it
// returns holds a reply, whose call must be freed.
func (n *node) askLease(ctx context.Context, op, key string, o readOptions) (flight, error) {
	var f flight
	n.ask(ctx, op, key, &o, &f)
	left, err := f.wait(ctx)
	if err != nil {
		n.orphanLease(key, o.flags, left, err)
	}
	return f, err
}

// readLease reads the home copy's answer. A miss is counted by the caller, who may look elsewhere.
func (c *Client) readLease(l *item.Lease, f *flight, hash uint64, o *item.LeaseOptions) {
	k := f.call
	won := k.Resp.Flags.Has(memproto.FlagW)
	switch {
	case k.Resp.Status != memproto.StatusVA:
		// No stub could be made: out of memory, or an error line of its own.
		l.State = item.LeaseNone
	case isStub(&k.Answer) && k.Resp.CAS == 0:
		// The node runs without CAS (-C): there are no tokens, and 0 compares with
		// everything.
		l.State = item.LeaseNone
	case !isStub(&k.Answer):
		l.Item = itemOf(l.Key, &k.Answer)
		l.Level = item.FromNode
		l.Stale = k.Resp.Flags.Has(memproto.FlagX)
		switch {
		case !l.Stale && o.Refresh != 0 && k.Resp.CAS != 0 && (won || o.Force || k.Classic):
			// On a copy of classic words there is no mark, and the token has to do.
			l.State = item.LeaseRefresh
			l.Tokens = []item.Token{tokenOf(f)}
			c.counters.nodeHits.Add(1)
			c.detector.Observe(hash, l.Key, len(k.Value))
			return
		case !l.Stale:
			l.Refreshing = k.Resp.Flags.Has(memproto.FlagZ)
			if won {
				// Somebody else's recache mark: nothing we asked for.
				postHandBack(f.conn, l.Key, k.Resp.CAS, false)
			}
			c.counters.nodeHits.Add(1)
			if c.cold.nodes.Load() > 0 {
				c.revive(hash, l.Key, f.n)
			}
			c.observe(f, &k.Answer, hash, l.Key, l.Generation)
			return
		case won:
			l.State = item.LeaseWon
			l.Tokens = []item.Token{tokenOf(f)}
		default:
			l.State = item.LeaseWait
		}
	case won || !k.Resp.Flags.Has(memproto.FlagZ):
		// Ours; or an empty item with flags 0 that no lease made (another program
		// stored it): its token lets us replace it.
		l.State = item.LeaseWon
		l.Tokens = []item.Token{tokenOf(f)}
		if won {
			f.n.casClock.mark(f.life, k.Resp.CAS, time.Since(c.born))
		}
	default:
		l.State = item.LeaseWait
		l.Held = f.n.casClock.age(f.life, k.Resp.CAS, time.Since(c.born))
	}
	c.detector.Observe(hash, l.Key, 0)
}

// tokenOf is the token that a copy's answer to a lease's request gives.
func tokenOf(f *flight) item.Token {
	k := f.call
	return item.Token{
		Version: item.Version{Node: f.n.Name, Life: f.life},
		CAS:     k.Resp.CAS, Kind: tokenKind(&k.Answer), Won: k.Resp.Flags.Has(memproto.FlagW),
	}
}

// collectTokens takes a token on every copy but home, all in one parallel round
// trip. A copy that can't give one will not be filled. The error is the context's.
func (c *Client) collectTokens(ctx context.Context, op string, t *topology, hash uint64, l *item.Lease, ttl time.Duration, home *node) error {
	var mem [maxCopies]flight
	flights := mem[:0]
	o := c.leaseRead(ttl, memproto.FlagLc|memproto.FlagLf|memproto.FlagLs)
	for _, at := range t.ring.LookupHash(hash) {
		n := t.nodes[at]
		if n == home || !n.breaker.Readable() || n.debt.Blocks(l.Key) {
			continue
		}
		var f flight
		n.ask(ctx, op, l.Key, &o, &f)
		flights = append(flights, f)
	}
	var cancelled error
	for i := range flights {
		f := &flights[i]
		left, err := f.wait(ctx)
		if left {
			cancelled = err
		}
		if err != nil {
			f.n.orphanLease(l.Key, o.flags, left, err)
			continue
		}
		if k := f.call; k.Resp.Status == memproto.StatusHD && k.Resp.CAS != 0 {
			l.Tokens = append(l.Tokens, tokenOf(f))
		}
		f.call.Free()
	}
	return cancelled
}

// LeaseWrite takes a token on every live copy of key, whatever it holds, for a
// write-through: take the tokens, write the origin, then Fill (consistency rule 8).
// A Fill whose tokens were voided meanwhile deletes the key on every copy instead, so
// that no older value can stay, whichever writer is late. If no copy gives a token
// the lease has none, and Fill deletes.
func (c *Client) LeaseWrite(ctx context.Context, key string) (item.Lease, error) {
	const op = "lease for write"
	l := item.Lease{Key: key, State: item.LeaseWrite}
	if err := c.check(ctx, op, key); err != nil {
		return l, err
	}
	t := c.top.Load()
	hash := t.ring.Hash(key)
	l.Placement, l.Copies = t.number, t.ring.Copies()
	l.Generation = c.near.Generation(hash)
	for try := 0; ; try++ {
		returned := t.returned(hash)
		if returned {
			// What the fill deletes elsewhere must not be copied back from here: see topology.returned.
			_, _ = c.deleteOnce(ctx, op, key, t.stages(hash, nil, nil)) // what it has not reached is owed it, and gives no token
		}
		if err := c.collectTokens(ctx, op, t, hash, &l, 0, nil); err != nil {
			c.giveBack(&l)
			return l, err
		}
		valued := func(tok item.Token) bool { return tok.Kind != item.TokenStub }
		if !returned || !slices.ContainsFunc(l.Tokens, valued) {
			return l, nil
		}
		// Somebody has filled it meanwhile. Without tokens the fill will be a delete.
		c.giveBack(&l)
		if l.Tokens = nil; try == maxRepeats {
			return l, nil
		}
	}
}

// Release gives a lease back that will not be filled, so that the next caller wins at
// once instead of waiting until it runs out. Releasing any other lease does nothing.
// It does not wait for the nodes, and works after ctx has ended: that is when leases
// are most often given back. Its only errors are a malformed key, a nil ctx and ErrClosed.
func (c *Client) Release(ctx context.Context, l item.Lease) error {
	if err := c.checkLease(ctx, "release", l.Key); err != nil {
		return err
	}
	c.giveBack(&l)
	return nil
}

// giveBack returns every win among the tokens, the home copy's last: who wins there
// next takes its tokens on the other copies afresh. It does not wait: a node without a connection is told once there is one.
func (c *Client) giveBack(l *item.Lease) {
	nodes, key := c.top.Load().all, l.Key
	if l.Gutter != "" && c.gutter != nil {
		nodes, key = c.gutter.nodes, l.Gutter
	}
	for i := len(l.Tokens) - 1; i >= 0; i-- {
		tok := l.Tokens[i]
		n := byName(nodes, tok.Node)
		if !tok.Won || n == nil {
			continue
		}
		if n.life.Load() != tok.Life || !n.breaker.Writable() {
			n.orphanWin(key, tok)
			continue
		}
		if n.giveBack(ended, key, tok, l.Item, l.Asked) {
			continue
		}
		it, asked := l.Item, l.Asked
		waits := func() {
			if !n.giveBack(c.ctx, key, tok, it, asked) {
				n.orphanWin(key, tok)
			}
		}
		if !c.group.Go(waits) {
			n.orphanWin(key, tok)
		}
	}
	l.Tokens = nil
}

// ended is for those who take a connection that is there, or none.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// giveBack returns one win, or leaves it to the sweeper of orphans. It is false, and nothing has happened, if there was no connection before
// ctx ended.
func (n *node) giveBack(ctx context.Context, key string, tok item.Token, it item.Item, asked time.Time) bool {
	conn, err := n.conn(ctx, 0)
	switch {
	case err != nil:
		return false
	case conn.Stamp() != tok.Life:
		n.orphanWin(key, tok)
	case tok.Kind == item.TokenValue:
		postUnmark(conn, it, tok.CAS, asked)
	default:
		postHandBack(conn, key, tok.CAS, tok.Kind == item.TokenStub)
	}
	return true
}
