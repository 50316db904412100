package nodeserver

import (
	"sync/atomic"
	"time"
)

// clock counts the seconds of a node's life, as memcached does: TTLs are kept as
// seconds on this scale, so that an item needs four bytes for one and a change of the
// wall clock moves none. It starts at 2, which leaves 1 for "already over".
type clock struct {
	now   func() time.Time
	start time.Time
	// shift is what debugtime has moved the clock by, in seconds; frozen is the second
	// at which it was stopped, 0 when it runs.
	shift  atomic.Int64
	frozen atomic.Uint32
}

const (
	clockOrigin  = 2
	alwaysPast   = 1
	maxRelative  = 30 * 24 * 60 * 60
	maxClockSecs = 1<<32 - 1
)

func (c *clock) init(now func() time.Time) { c.now, c.start = now, now() }

// sec is the current second.
func (c *clock) sec() uint32 {
	if at := c.frozen.Load(); at != 0 {
		return uint32(max(int64(at)+c.shift.Load(), clockOrigin))
	}
	return uint32(max(c.running()+c.shift.Load(), clockOrigin))
}

// running is the second without debugtime.
func (c *clock) running() int64 { return int64(c.now().Sub(c.start)/time.Second) + clockOrigin }

func (c *clock) pause() { c.frozen.CompareAndSwap(0, uint32(c.running())) }

// resume lets the clock run on from where it stands.
func (c *clock) resume() {
	if at := c.frozen.Swap(0); at != 0 {
		c.shift.Add(int64(at) - c.running())
	}
}

// unixOrigin is the Unix time of second 0.
func (c *clock) unixOrigin() int64 { return c.start.Unix() - clockOrigin }

// at turns an exptime of the wire into a second of this clock: 0 stays 0 (never),
// negative is past, up to 30 days counts from now, above that it is Unix time.
func (c *clock) at(exptime int64, now uint32) uint32 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return alwaysPast
	case exptime <= maxRelative:
		return now + uint32(exptime)
	}
	sec := exptime - c.unixOrigin()
	if sec <= 0 {
		return alwaysPast
	}
	return uint32(min(sec, maxClockSecs))
}

// ttl is what remains until expiry in seconds: -1 for an item that never expires, 0
// for one that just did.
func ttl(expiry, now uint32) int64 {
	if expiry == 0 {
		return -1
	}
	return max(int64(expiry)-int64(now), 0)
}

// since is how many seconds ago something was used. That may have been a moment ago, and in
// a later second than the one a long batch of commands goes by: that is none.
func since(access, now uint32) uint32 { return now - min(access, now) }
