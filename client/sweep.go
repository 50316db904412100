package client

import (
	"context"
	"slices"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
)

// A near entry serves for X. The sweeper asks, before that is over, whether the value is still the one the home copy
// has, in one batch per node: only about entries that have been read often enough since to be worth a request, so that
// coherence never costs more than a sixteenth of what the entries absorb (consistency rule 19).

// sweepReads is how many reads an entry must have answered since its last validation to be renewed.
const sweepReads = 16

// sweepLeast bounds how often the sweeper looks.
const sweepLeast = time.Millisecond / 2

// sweeper is the state of the goroutine that runs while near entries exist.
type sweeper struct {
	c *Client
	// silent is until when a node that left a sweep unanswered is not asked. A hung node would collect a batch a
	// sweep until it counts as down, and with them the requests that callers may have under way.
	silent map[*node]time.Time
}

// startSweeper sees to it that the sweeper runs; called after an entry was put.
func (c *Client) startSweeper() {
	if c.sweeping.Load() || !c.sweeping.CompareAndSwap(false, true) {
		return
	}
	s := &sweeper{c: c, silent: map[*node]time.Time{}}
	if !c.group.Go(s.run) {
		c.sweeping.Store(false)
	}
}

// run sweeps until Close, or until nothing is held.
func (s *sweeper) run() {
	c := s.c
	tick := time.NewTicker(max(sweepLeast, c.near.Shortest()/4))
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		s.sweep()
		if c.near.Len() > 0 {
			continue
		}
		c.sweeping.Store(false)
		// Who put an entry before this may have found the sweeper running.
		if c.near.Len() == 0 || !c.sweeping.CompareAndSwap(false, true) {
			return
		}
	}
}

// candidate is an entry that is asked about, with its key's generation from before.
type candidate struct {
	hotkey.Entry
	gen  uint64
	full bool // the value is asked for, too
}

// sweep asks once about every entry that is due, and once more for the values of those that have changed.
func (s *sweeper) sweep() {
	c := s.c
	var ask []candidate
	for _, e := range c.near.Due(sweepReads) {
		// Without its CAS there is nothing to compare with.
		ask = append(ask, candidate{Entry: e, full: e.CAS == 0})
	}
	changed := s.ask(ask)
	s.ask(changed)
}

// ask sends one batch, takes its answers and returns the entries whose values have changed.
func (s *sweeper) ask(entries []candidate) (changed []candidate) {
	c := s.c
	if len(entries) == 0 {
		return nil
	}
	// An answer that is later than this is of little use, and the other nodes' wait for it.
	ctx, cancel := context.WithTimeout(c.ctx, min(c.cfg.Timeout, max(c.near.Shortest()/2, 2*time.Millisecond)))
	defer cancel()
	t, now := c.top.Load(), time.Now()
	var targets []target
	for i := range entries {
		e := &entries[i]
		n := c.home(t, e.Hash, e.Key)
		if n == nil || n.Name != e.Node || n.life.Load() != e.Epoch || !n.met() || now.Before(s.silent[n]) {
			continue // it expires
		}
		e.gen = c.near.Generation(e.Hash)
		targets = append(targets, target{n, i})
	}
	b := batch{c: c, op: "revalidate",
		request: func(i int, k *pipe.Call) {
			k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Flags: memproto.FlagLt | memproto.FlagLc}
			e := &entries[i]
			if can := c.capable(t, e); e.full || can >= Tier4 {
				k.Req.Flags |= memproto.FlagLv | memproto.FlagLf
				if !e.full {
					k.Req.Flags |= memproto.FlagC
					k.Req.CAS = e.CAS
				}
			}
			setKey(&k.Req, e.Key)
		},
		each: func(tg target, f *flight, left bool, err error) {
			e := &entries[tg.i]
			if err != nil {
				if left {
					s.silent[tg.n] = now.Add(c.cfg.Timeout)
				}
				return
			}
			if s.take(e, f) {
				e.full = true
				changed = append(changed, *e)
			}
		},
		settler: lateRead{}, key: func(i int) string { return entries[i].Key },
		allowed: func(n *node) bool { return n.breaker.Readable() },
	}
	b.run(ctx, targets)
	c.counters.revalidated.Add(uint64(len(targets)))
	for n, until := range s.silent {
		if now.After(until) || !slices.Contains(t.nodes, n) {
			delete(s.silent, n)
		}
	}
	return changed
}

// capable is what the node of an entry can do.
func (c *Client) capable(t *topology, e *candidate) Tier {
	if n := byName(t.nodes, e.Node); n != nil {
		return n.capability().tier
	}
	return TierUnknown
}

// take draws the conclusion from an answer. It returns true if the value has changed and has not come along.
func (s *sweeper) take(e *candidate, f *flight) (changed bool) {
	c, a := s.c, &f.call.Answer
	if a.Resp.Flags.Has(memproto.FlagW) {
		c.handBack(c.ctx, f, a, e.Key)
	}
	switch {
	case a.Resp.Status == memproto.StatusVA:
		c.fillNear(f, a, e.Hash, e.Key, e.gen)
		return false
	case a.Resp.Status != memproto.StatusHD:
		// There is nothing any more: the next reader asks.
		c.near.Drop(e.Hash, e.Key)
		return false
	case a.Resp.Flags&(memproto.FlagX|memproto.FlagW|memproto.FlagZ) != 0, a.Resp.CAS == 0:
		return false
	case a.Resp.CAS != e.CAS:
		return !e.full
	}
	if !c.stillHome(f, e.Hash, e.Key) || a.Resp.Flags.Has(memproto.FlagLt) && a.Resp.TTL == 0 {
		return false
	}
	entry := e.Entry
	if a.Resp.TTL > 0 {
		entry.TTL = time.Duration(a.Resp.TTL) * time.Second
	}
	t := c.top.Load()
	if c.near.Renew(entry, e.gen, f.conn.Time(f.call.SentAt())) && (f.n.life.Load() != f.life || c.top.Load() != t) {
		c.near.Drop(e.Hash, e.Key)
	}
	return false
}

// stillHome reports whether what a flight brought is of the present home copy, in its present epoch.
func (c *Client) stillHome(f *flight, hash uint64, key string) bool {
	return c.home(c.top.Load(), hash, key) == f.n && f.n.life.Load() == f.life && f.n.met()
}

// missNear remembers that the home copy has no value of a hot key.
func (c *Client) missNear(f *flight, hash uint64, key string, gen uint64) {
	if c.near == nil || f.late || !c.stillHome(f, hash, key) {
		return
	}
	t := c.top.Load()
	v := hotkey.Value{Missing: true, Node: f.n.Name, Epoch: f.life}
	if !c.near.Put(hash, key, v, gen, f.conn.Time(f.call.SentAt())) {
		return
	}
	if f.n.life.Load() != f.life || c.top.Load() != t {
		c.near.Drop(hash, key)
		return
	}
	c.startSweeper()
}

// remembered is what a read of a key that memory knows to be missing returns.
func (c *Client) remembered(hash uint64, key string) error {
	c.detector.Observe(hash, key, 0)
	return item.ErrCacheMiss
}
