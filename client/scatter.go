package client

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// A key that is hotter than its copies can bear is scattered: most of its reads are answered by suffix copies, which are
// items of their own on other nodes (hotkey.Scatter, off unless asked for).
//
// Why a suffix copy never answers a read that starts at s with anything older than what all copies of the key had confirmed at
// s − X, whoever fills it and however late:
//
//  1. Filler F misses it and takes a token there: a stub that the node lets go after a second.
//  2. F reads the key itself, so it gets at least what all copies had confirmed when the token was given out.
//  3. F stores that under the token. The node takes it only while the stub lives, so within a second of the token, even if the
//     request has been held up for minutes on its way; and lets it go X − 1 s after that.
//
// So what is read there came from the key's own copies less than X ago. This client's own writes are seen at once: whoever
// writes deletes the suffix copies when the write is through, which also voids the tokens of fillers that have read the value
// before; and does not read any for X, for the case that one has not heard of it. A client begins to read suffix copies of a key X after
// it chose to, so that there is no write of its own that it would have to remember.

// scatterStub is how long, in seconds, a filler has.
const scatterStub = 1

// maxScattered is how many keys a client scatters at most: each of them has more than a thousandth of its reads, as a rule much more.
const maxScattered = 64

// scattering is what a client knows of scattered keys.
type scattering struct {
	cfg hotkey.Scatter // Copies is 0 if nothing is scattered
	// keys are replaced as a whole, by maintain alone; nil for none.
	keys atomic.Pointer[map[string]*scattered]
}

// scattered is one such key.
type scattered struct {
	placement uint64 // by which parts are placed
	parts     []suffixCopy
	// from is when reads of its suffix copies may begin, in nanoseconds since Client.born. It only grows once it was set.
	from atomic.Int64
}

// suffixCopy is one of a key's. Its hash is not that of its name: with key tags that would be the same for all.
type suffixCopy struct {
	key     string
	hash    uint64
	filling atomic.Bool // a caller of this client is at it
}

// suffixTries is among how many places that of a suffix copy is chosen.
const suffixTries = 16

// suffixed returns the suffix copies of key, the same for every client with this placement: each goes where the fewest of the key's copies
// are so far. On a placement that others do not have yet, they are looked for, and deleted, elsewhere: those of one heal by themselves for the other.
func suffixed(r *ring.Ring, hash uint64, key string, copies int) []suffixCopy {
	bears := make([]int, r.Len())
	for _, at := range r.LookupHash(hash) {
		bears[at]++
	}
	out := make([]suffixCopy, copies)
	for i := range out {
		least := math.MaxInt
		for try := range suffixTries {
			// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
			h := hash + uint64(i*suffixTries+try+1)*0x9e3779b97f4a7c15
			h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
			h = (h ^ h>>27) * 0x94d049bb133111eb
			h ^= h >> 31
			if n := bears[r.LookupHash(h)[0]]; n < least {
				out[i].hash, least = h, n
			}
		}
		bears[r.LookupHash(out[i].hash)[0]]++
		out[i].key = key + suffixMark + strconv.Itoa(i)
	}
	return out
}

// suffixMark stands between a key and the number of its suffix copy. maxSuffix is the length of both.
const (
	suffixMark = "~memherd~"
	maxSuffix  = len(suffixMark) + 2
)

// chooseScattered decides anew which keys are scattered. maintain calls it once a second.
func (c *Client) chooseScattered() {
	x := &c.scattering
	if x.cfg.Copies == 0 {
		return
	}
	t := c.top.Load()
	least := x.cfg.Share
	if least == 0 {
		least = float64(t.ring.Copies()) / float64(2*len(t.nodes))
	}
	var old map[string]*scattered
	if p := x.keys.Load(); p != nil {
		old = *p
	}
	next := map[string]*scattered{}
	var fresh []*scattered
	for _, h := range c.detector.Top(maxScattered) {
		s := old[h.Key]
		if s != nil && s.placement != t.number {
			s = nil
		}
		bar := least
		if s != nil {
			bar /= 2
		}
		if h.Share < bar || h.Level == hotkey.LevelCold || len(h.Key)+maxSuffix > memproto.MaxKeyLen ||
			!item.PlainBytes(h.Key) || !c.cfg.HotKeys.MayScatter(h.Key) {
			continue
		}
		if s == nil {
			hash := t.ring.Hash(h.Key)
			s = &scattered{placement: t.number, parts: suffixed(t.ring, hash, h.Key, x.cfg.Copies)}
			s.from.Store(math.MaxInt64)
			fresh = append(fresh, s)
		}
		next[h.Key] = s
	}
	if len(next) == 0 && len(old) == 0 {
		return
	}
	x.keys.Store(&next)
	// A write that has not found the key there was through before this moment; one that has sets from itself.
	for _, s := range fresh {
		s.from.CompareAndSwap(math.MaxInt64, int64(time.Since(c.born)+x.cfg.Staleness))
	}
}

// scattered returns what is known of key if it is scattered, nil otherwise.
func (c *Client) scattered(key string) *scattered {
	keys := c.scattering.keys.Load()
	if keys == nil {
		return nil
	}
	return (*keys)[key]
}

// chooseSuffix returns the suffix copy of key that this read should go to, and its node; nil if the key is not scattered, or
// the read is for the key's own copies.
func (c *Client) chooseSuffix(hash uint64, key string) (*suffixCopy, *node) {
	s := c.scattered(key)
	if s == nil || int64(time.Since(c.born)) < s.from.Load() {
		return nil, nil
	}
	t := c.top.Load()
	// While copies move or come back, their rules are enough. And one read in so many goes to the key's own copies, which can bear
	// as much as the others.
	if t.changing() || c.cold.nodes.Load() > 0 || rand.IntN(len(s.parts)+t.ring.Copies()) < t.ring.Copies() {
		return nil, nil
	}
	if reads, ok := c.near.Recent(hash, key); ok && reads >= worthReads {
		return nil, nil // memory serves it, and is filled from the home copy
	}
	// Who reaches a copy on which this client owes a delete of the key goes on filling suffix copies with what is there (consistency rule 7).
	for _, at := range t.ring.LookupHash(hash) {
		if owed := t.nodes[at].debt; owed.Blocks(key) || owed.Overflow() {
			return nil, nil
		}
	}
	p := &s.parts[rand.IntN(len(s.parts))]
	n := c.home(t, p.hash, p.key)
	q := &s.parts[rand.IntN(len(s.parts))]
	// A slow node seems idle, as it is asked less.
	if m := c.home(t, q.hash, q.key); n == nil || m != nil && (n.slow.Load() || !m.slow.Load() && idler(m, n)) {
		p, n = q, m
	}
	if n == nil || n.slow.Load() {
		return nil, nil
	}
	return p, n
}

// readScattered reads key from one of its suffix copies, if it is scattered and that is where this read should go. It returns
// false if not, or if there is nothing: then the key's own copies have to be asked.
func (c *Client) readScattered(ctx context.Context, op string, hash uint64, key string) (item.Item, bool) {
	p, n := c.chooseSuffix(hash, key)
	if p == nil {
		return item.Item{}, false
	}
	a, err := c.readCopy(ctx, op, n, p.key)
	switch {
	case err != nil:
		return item.Item{}, false
	case valid(&a):
		c.counters.scattered.Add(1)
	case a.Resp.Status != memproto.StatusEN:
		return item.Item{}, false // somebody is filling it
	default:
		var ok bool
		if a, ok = c.fillScattered(ctx, op, n, p, hash, key); !ok {
			return item.Item{}, false
		}
	}
	c.counters.nodeHits.Add(1)
	c.detector.Observe(hash, key, len(a.Value))
	it := itemOf(key, &a)
	it.TTL, it.CAS = 0, 0 // those of the suffix copy
	return it, true
}

// fillScattered fills the suffix copy p, which n lacks, and returns what it was filled with. It returns false if somebody else is at it,
// or there is nothing to fill it with.
func (c *Client) fillScattered(ctx context.Context, op string, n *node, p *suffixCopy, hash uint64, key string) (pipe.Answer, bool) {
	if !p.filling.CompareAndSwap(false, true) {
		return pipe.Answer{}, false
	}
	defer p.filling.Store(false)
	ask := c.leaseRead(0, restoreFlags)
	ask.vivify = scatterStub
	tok, _, what, err := n.winStub(ctx, op, p.key, ask)
	if err != nil || what != stubWon {
		return pipe.Answer{}, false
	}
	var f flight
	err = c.readHome(ctx, op, hash, key, &readOptions{flags: getFlags}, &f)
	if err != nil {
		c.giveBack(&item.Lease{Key: p.key, Tokens: []item.Token{tok}})
		return pipe.Answer{}, false
	}
	defer f.call.Free()
	a := f.call.Answer
	if a.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(ctx, &f, &a, key)
	}
	life := c.scattering.cfg.Staleness - scatterStub*time.Second
	if a.Resp.TTL > 0 {
		life = min(life, time.Duration(a.Resp.TTL)*time.Second)
	}
	if !sound(&a) {
		c.giveBack(&item.Lease{Key: p.key, Tokens: []item.Token{tok}})
		return a, valid(&a)
	}
	it := itemOf(p.key, &a)
	it.TTL = life
	if c.storeUnderToken(ctx, op, n, tok, it) {
		c.counters.scatterFills.Add(1)
	}
	return a, true
}

// wrote is what every write calls when its outcome is known or given up, before it returns: neither memory nor suffix copies
// answer this client's reads with what was there before.
func (c *Client) wrote(hash uint64, key string) {
	c.near.Drop(hash, key)
	c.journal.late()
	c.leaveSuffixes(key)
}

// leaveSuffixes is wrote without memory, for a fill: that replaces what memory holds.
func (c *Client) leaveSuffixes(key string) {
	s := c.scattered(key)
	if s == nil {
		return
	}
	until := int64(time.Since(c.born) + c.scattering.cfg.Staleness)
	for {
		if was := s.from.Load(); was >= until && was != math.MaxInt64 || s.from.CompareAndSwap(was, until) {
			break
		}
	}
	c.dropScattered(s)
}

// dropScattered deletes the suffix copies of s where readers look for them. What does not hear of it ends by itself. It
// works after the writer's context has ended, and takes a Timeout at most.
func (c *Client) dropScattered(s *scattered) {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	t := c.top.Load()
	var targets []target
	for i := range s.parts {
		if n := c.home(t, s.parts[i].hash, s.parts[i].key); n != nil {
			targets = append(targets, target{n, i})
		}
	}
	b := batch{c: c, op: "delete",
		request: func(i int, k *pipe.Call) { k.Req = deleteRequest(s.parts[i].key) },
		each:    func(target, *flight, bool, error) {},
		settler: lateRead{}, key: func(i int) string { return s.parts[i].key },
		allowed: func(n *node) bool { return n.breaker.Writable() },
	}
	b.run(ctx, targets)
}
