package client

import (
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
)

// nearLevel is how hot a key must be to be held in memory.
const nearLevel = hotkey.LevelHottest

// holds reports whether the near-cache takes what a node says of a key that is so hot.
func (c *Client) holds(level hotkey.Level) bool {
	return c.near != nil && (level >= nearLevel || c.nearAll)
}

// HotKeys returns the n hottest keys this client sees, hottest first, whatever their level: what it was asked for, also where
// the near-cache answered; other processes' reads are not among them. Fewer than n if it has not seen as many, nil for n below 1. Detection is
// always on, with Config.HotKeys nil, too. It looks through the whole table: for a page or a log line, not for each
// request. Keys are user data, so think before you show them to anybody.
func (c *Client) HotKeys(n int) []hotkey.Hot { return c.detector.Top(n) }

// HotKeyStats returns the detector's state: the sampling rate in force, how many keys are at each level, and the shares of all accesses from
// which they are.
func (c *Client) HotKeyStats() hotkey.DetectorStats { return c.detector.Stats() }

// NearStats returns the near-cache's figures; all zero without one.
func (c *Client) NearStats() hotkey.NearStats { return c.near.Stats() }

// HoldsNear reports whether the near-cache would hold what a node says of key now: with
// hotkey.Config.NearAll of every key, otherwise of one among the hottest, and never of one whose Staleness is negative. A value may
// still be too large, or refused for another reason. It does not count as an access, and does
// not keep key, which is not checked.
func (c *Client) HoldsNear(key string) bool {
	switch {
	case c.near.Staleness(key) <= 0:
		return false
	case c.nearAll:
		return true
	}
	hash := c.top.Load().ring.Hash(key)
	return c.holds(c.detector.Level(hash, key))
}

// ReadNear returns what the near-cache holds for key; ok is false if there is nothing that may serve a
// read that starts now, no near-cache, or the client is closed. It counts as an access of the key, asks no
// node, allocates nothing, and does not keep key, which is not checked: what is no key is not held.
func (c *Client) ReadNear(key string) (near item.Near, ok bool) {
	if c.near == nil || c.ctx.Err() != nil {
		return near, false
	}
	hash := c.top.Load().ring.Hash(key)
	seen, ok := c.near.Look(hash, key)
	if !ok {
		return near, false
	}
	c.detector.ObserveAt(hash, key, len(seen.Bytes), seen.At)
	return item.Near{Value: seen.Bytes, At: seen.At, Kept: seen.Kept}, true
}

// fillNear holds the value of a reply in memory, unless a write of this client has
// moved the key's generation since gen, or the reply is no sound value: a stub, a
// stale mark or one that was not asked for, another caller's refresh under way, or anything that did not come from
// the home copy of the present topology (consistency rule 19).
func (c *Client) fillNear(f *flight, a *pipe.Answer, hash uint64, key string, gen uint64) {
	if f.late || a.Resp.Flags&(memproto.FlagX|memproto.FlagW|memproto.FlagZ) != 0 || isStub(a) || a.Resp.Bare {
		return
	}
	if a.Resp.Flags.Has(memproto.FlagLt) && a.Resp.TTL == 0 {
		return // it ends within the second
	}
	t := c.top.Load()
	if !c.stillHome(f, hash, key) {
		return
	}
	v := hotkey.Value{Bytes: a.Value, Flags: flagsIn(a.Resp.ClientFlags), CAS: a.Resp.CAS, Node: f.n.Name, Epoch: f.life}
	if a.Resp.TTL > 0 {
		v.TTL = time.Duration(a.Resp.TTL) * time.Second
	}
	if !c.near.Put(hash, key, v, gen, f.conn.Time(f.call.SentAt())) {
		return
	}
	if f.n.life.Load() != f.life || c.top.Load() != t {
		// The node was lost, or the fleet changed, while we put it there: that
		// change's own DropNode may have run before our Put.
		c.near.Drop(hash, key)
		return
	}
	c.startSweeper()
}

// keepFilled holds in memory what the home copy has just confirmed to have stored under its token: from then on until somebody
// changes it that is what a read there would bring, and the request that stored it was sent after any it could bring back. A write
// of this client since the lease was asked for has moved the key's generation.
func (c *Client) keepFilled(f flight, req *memproto.Request, hash uint64, l *item.Lease) bool {
	v := hotkey.Value{Bytes: req.Value, Flags: flagsIn(req.ClientFlags), CAS: f.call.Resp.CAS, Node: f.n.Name, Epoch: f.life}
	switch {
	case req.Exptime < 0:
		return false
	case req.Exptime > 0:
		// Counted from now at the earliest, in the node's seconds, one of which may be over.
		if v.TTL = exptimeLeft(req.Exptime) - time.Second; v.TTL <= 0 {
			return false
		}
	}
	if f.late {
		return false
	}
	f.n.casClock.mark(f.life, f.call.Resp.CAS, time.Since(c.born))
	t := c.top.Load()
	if !c.stillHome(&f, hash, l.Key) || !c.near.Put(hash, l.Key, v, l.Generation, f.conn.Time(f.call.SentAt())) {
		return false
	}
	if f.n.life.Load() != f.life || c.top.Load() != t {
		c.near.Drop(hash, l.Key) // as in fillNear
		return false
	}
	c.startSweeper()
	return true
}

// exptimeLeft is how long an item with an exptime of above 0 lives from now on.
func exptimeLeft(exptime int64) time.Duration {
	if exptime > memproto.MaxRelative {
		return time.Until(time.Unix(exptime, 0))
	}
	return time.Duration(exptime) * time.Second
}

// home is the copy that reads of key go to now, nil if there is none.
func (c *Client) home(t *topology, hash uint64, key string) *node {
	for _, i := range t.ring.LookupHash(hash) {
		if n := t.nodes[i]; n.breaker.Readable() && !n.debt.Blocks(key) {
			return n
		}
	}
	return nil
}
