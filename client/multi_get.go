package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
)

// GetMulti returns the items of keys that are in the cache, by key, pipelined over
// all nodes at once. Missing keys are missing from the map. Keys whose home copy
// fails are asked from their next copy; if some could not be read anywhere, the
// error joins the failures, one per node, and the map still holds what was found:
// a key that is absent beside a nil error is a miss. Duplicates are asked once. Item.TTL
// and Item.CAS are not asked for, and are 0: see GetWith, Gets and GetsMulti.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]item.Item, error) {
	return c.getMulti(ctx, "get", keys, false)
}

// multiGet is a GetMulti under way. Its memory is used again.
type multiGet struct {
	c            *Client
	op           string
	t            *topology
	asks         []ask
	slots        []int32 // hash table of the asks: position plus 1, 0 for none; its length is a power of two
	groups       []share // by the node's position in the topology: what this round asks of it
	used         []int32 // the groups that are not empty
	flying       []burstFlight
	flushed      int              // so many of flying have been sent, the others are held: see multi_send.go
	plain        []target         // asked of nodes that take no bursts
	cold         []target         // missed by a home copy that is cold
	give         func(*item.Item) // takes what is found, each key once, and copies it
	found        item.Item        // memory for one of them
	failed       map[string]error // by the node's name; nil for none
	hits, misses uint64           // for the counters, in which they are counted once a call
	at           time.Duration    // about when the answers being taken came, on a connection's clock
	tokens       bool             // CAS tokens are asked for: memory can't serve
	skipped      bool             // some copy was passed over because its node was down
}

// ask is one key that memory can't serve.
type ask struct {
	key       string
	hash, gen uint64
	next      int    // which of its copies is asked next
	owner     uint16 // position of the node of the first
	open      bool   // not answered yet
	detour    bool   // asked of another copy than the owner, which is slow
	refused   bool   // it has failed, and the budget of retries is spent
	barred    bool   // some copy may not be read because of what it is owed
}

// share is the asks, by position, that one node gets.
type share []int32

// burstFlight is a run of a node's group under way.
type burstFlight struct {
	flight
	asks share
}

// keepAsks is the largest call whose memory is kept.
const keepAsks = 1024

func (g *multiGet) free() {
	if len(g.asks) > keepAsks || len(g.groups) > keepAsks {
		return
	}
	clear(g.asks)
	clear(g.plain)
	clear(g.cold)
	*g = multiGet{c: g.c, asks: g.asks[:0], slots: g.slots, groups: g.groups, used: g.used[:0], flying: g.flying[:0], plain: g.plain[:0], cold: g.cold[:0]}
	g.c.multiGets.Put(g)
}

// admit takes the keys that memory can't serve.
func (g *multiGet) admit(keys []string) {
	size := 8
	for size < 2*len(keys) {
		size *= 2
	}
	g.slots = slices.Grow(g.slots[:0], size)[:size]
	clear(g.slots)
	g.asks = slices.Grow(g.asks, len(keys))
	for _, key := range keys {
		hash := g.t.ring.Hash(key)
		slot := g.slot(hash, key)
		if *slot != 0 {
			continue
		}
		if v, ok := g.held(hash, key); ok {
			if v.Missing {
				_ = g.c.remembered(hash, key)
			} else {
				g.c.detector.Observe(hash, key, len(v.Bytes))
				g.found = item.Item{Key: key, Value: v.Bytes, Flags: v.Flags}
				g.give(&g.found)
			}
			g.asks = append(g.asks, ask{key: key, hash: hash}) // for its duplicates
			*slot = int32(len(g.asks))
			continue
		}
		g.c.detector.AsksElsewhere(hash) // such a read asks nothing, but is this client's own
		g.asks = append(g.asks, ask{key: key, hash: hash, gen: g.c.near.Generation(hash), open: true})
		*slot = int32(len(g.asks))
	}
	// All of them at once: each lookup misses the processor's caches, and here they wait for memory together.
	for i := range g.asks {
		a := &g.asks[i]
		a.owner = g.t.ring.LookupHash(a.hash)[0]
	}
}

// slot is where key is in the table, or belongs.
func (g *multiGet) slot(hash uint64, key string) *int32 {
	for i := hash; ; i++ {
		s := &g.slots[i&uint64(len(g.slots)-1)]
		if *s == 0 {
			return s
		}
		if a := &g.asks[*s-1]; a.hash == hash && a.key == key {
			return s
		}
	}
}

// round asks every open key that has a copy left to ask; false when there was none.
func (g *multiGet) round(ctx context.Context) bool {
	if n := len(g.t.nodes); len(g.groups) < n {
		g.groups = append(g.groups, make([]share, n-len(g.groups))...)
	}
	for i := range g.asks {
		if a := &g.asks[i]; a.open && !a.refused {
			g.assign(int32(i), a)
		}
	}
	if len(g.used) == 0 {
		return false
	}
	if !g.c.retriable(ctx) {
		g.disband()
		return false
	}
	// Windows over all nodes: the k-th window of every node is under way together.
	for at := 0; ; at += batchWindow {
		for _, i := range g.used {
			if rest := g.groups[i]; at < len(rest) {
				g.launch(ctx, g.t.nodes[i], rest[at:min(at+batchWindow, len(rest))])
			}
		}
		if len(g.flying)+len(g.plain) == 0 {
			break
		}
		g.flushHeld(ctx)
		if len(g.plain) > 0 {
			g.askPlain(ctx)
			clear(g.plain)
			g.plain = g.plain[:0]
		}
		g.landAll(ctx)
		clear(g.flying)
		g.flying, g.flushed = g.flying[:0], 0
	}
	g.disband()
	return true
}

// assign puts a, at position i, into the group of the next of its copies that may be
// read.
func (g *multiGet) assign(i int32, a *ask) {
	if a.next == 0 && !a.detour && !g.tokens { // a token is the owner's
		if at := g.c.detour(g.t, a.hash, a.key); at >= 0 {
			a.detour = true
			g.share(at, i)
			return
		}
	}
	for a.next < g.t.ring.Copies() {
		at := a.owner
		if a.next > 0 {
			at = g.t.ring.LookupHash(a.hash)[a.next]
		}
		n := g.t.nodes[at]
		a.next++
		if !n.breaker.Readable() {
			g.skipped = true
			if g.failed[n.Name] == nil {
				g.fail(n, n.refusal(g.op))
			}
			continue
		}
		if n.debt.Blocks(a.key) || g.c.cold.nodes.Load() > 0 && g.t.tainted(a.hash, a.key, n) {
			a.barred = true
			continue
		}
		g.share(int(at), i)
		return
	}
}

// share adds the ask at i to what the node at this position is asked.
func (g *multiGet) share(at int, i int32) {
	if len(g.groups[at]) == 0 {
		g.used = append(g.used, int32(at))
	}
	g.groups[at] = append(g.groups[at], i)
}

// landAll waits for the bursts under way and takes their answers.
func (g *multiGet) landAll(ctx context.Context) {
	soft, cancel := g.patience(ctx)
	defer cancel()
	// Callers that begin with different nodes read for each other.
	first := int(g.asks[0].hash % uint64(max(len(g.flying), 1)))
	for i := range g.flying {
		f := &g.flying[(first+i)%len(g.flying)]
		switch {
		case f.err != nil:
		case soft != nil:
			if !g.hedgedWait(ctx, soft, f) {
				continue
			}
		case !f.conn.Wait(ctx, f.call):
			f.call = nil
		}
		g.land(ctx, f)
	}
}

// land takes the answers to a burst that has been waited for.
func (g *multiGet) land(ctx context.Context, f *burstFlight) {
	err := f.err
	if err == nil {
		_, err = f.landed(ctx)
	}
	if err != nil {
		g.lost(f, err)
		return
	}
	answers := f.call.Answers()
	g.at = time.Duration(f.conn.Now())
	for j, i := range f.asks {
		g.answer(ctx, &f.flight, &answers[j], i)
	}
	f.call.Free()
}

// lost notes that f has failed, for those of its keys that no other copy has answered meanwhile.
func (g *multiGet) lost(f *burstFlight, err error) {
	for _, i := range f.asks {
		if a := &g.asks[i]; a.open {
			g.failure(a, f.n, err)
		}
	}
}

// askPlain asks nodes that take no bursts.
func (g *multiGet) askPlain(ctx context.Context) {
	b := batch{c: g.c, op: g.op,
		each: func(t target, f *flight, _ bool, err error) {
			if err != nil {
				g.failure(&g.asks[t.i], t.n, err)
				return
			}
			g.answer(ctx, f, &f.call.Answer, int32(t.i))
		},
		request: func(i int, k *pipe.Call) { k.Req = readRequest(g.asks[i].key); k.Req.Flags |= g.flags() },
		allowed: func(n *node) bool { return n.breaker.Readable() },
	}
	if ctx.Done() != nil {
		b.settler, b.key = lateRead{}, func(i int) string { return g.asks[i].key }
	}
	b.run(ctx, g.plain)
}

func (g *multiGet) fail(n *node, err error) {
	if g.failed == nil {
		g.failed = map[string]error{}
	}
	note(g.failed, n, err)
}

func (g *multiGet) failure(a *ask, n *node, err error) {
	g.fail(n, err)
	g.skipped = g.skipped || errors.Is(err, item.ErrConnLost) // the node may have shed an idle connection: askSkipped
	if !g.c.mayRetry(item.SafeToRetry(err)) {
		a.refused = true
		return
	}
	if a.next < g.t.ring.Copies() {
		g.c.counters.failovers.Add(1)
		g.c.cfg.Hooks.failover(g.op, n.Name, err)
	}
}

// answer takes the answer to the ask at i, of a request that f is or was part of.
func (g *multiGet) answer(ctx context.Context, f *flight, a *pipe.Answer, i int32) {
	q := &g.asks[i]
	if a.TooLarge() {
		g.failure(q, f.n, &item.Error{Op: g.op, Node: f.n.Name, Sent: item.Answered, Err: item.ErrTooLarge})
		return
	}
	q.open = false
	if a.Resp.Flags.Has(memproto.FlagW) {
		g.c.handBack(ctx, f, a, q.key)
	}
	if g.c.cold.nodes.Load() > 0 && g.t.tainted(q.hash, q.key, f.n) {
		q.open, q.barred = true, true // see trusted
		return
	}
	if q.detour && q.next == 0 {
		if !valid(a) {
			q.open = true // the owner's turn
			return
		}
		g.c.countDetour(g.t, q.hash)
	}
	if a.Resp.Status != memproto.StatusVA || isStub(a) {
		lacks := (a.Resp.Status == memproto.StatusEN || isStub(a)) && g.c.cold.nodes.Load() > 0 && g.t.lacks(q.hash, f.n)
		if lacks {
			g.cold = append(g.cold, target{f.n, int(i)})
		}
		// What another copy may have is not remembered as missing.
		if g.c.detector.Observe(q.hash, q.key, 0) > hotkey.LevelCold && a.Resp.Status == memproto.StatusEN && !a.Resp.Bare && !lacks {
			g.c.missNear(f, q.hash, q.key, q.gen)
		}
		g.misses++
		return
	}
	g.hits++
	if g.c.cold.nodes.Load() > 0 {
		g.c.revive(q.hash, q.key, f.n)
	}
	if a.Resp.Bare { // nothing that memory could hold
		g.c.detector.ObserveAt(q.hash, q.key, len(a.Value), g.at)
	} else {
		g.c.observe(f, a, q.hash, q.key, q.gen)
	}
	it := &g.found
	*it = item.Item{}
	readItem(it, q.key, a)
	it.TTL = 0 // some of the keys are asked for in a way that tells it
	if g.tokens {
		it.Version = item.Version{Node: f.n.Name, Life: f.life}
	}
	g.give(it)
}

// err is nil when every key was answered: a failure that another copy made good is
// no failure, and neither is a key that no copy may be read for: see readHome.
func (g *multiGet) err(ctx context.Context) error {
	lost := false
	for i := range g.asks {
		switch a := &g.asks[i]; {
		case !a.open:
		case a.barred && g.c.retriable(ctx):
			g.misses++
		default:
			lost = true
		}
	}
	g.c.counters.nodeHits.Add(g.hits)
	g.c.counters.misses.Add(g.misses)
	if !lost {
		return nil
	}
	g.c.counters.readErrors.Add(1)
	err := joinByNode(g.failed)
	if ended := g.c.checkCall(ctx, g.op); ended != nil && !errors.Is(err, errors.Unwrap(ended)) {
		if err == nil {
			return ended
		}
		return errors.Join(ended, err) // it ended before some keys were asked for
	}
	return err
}
