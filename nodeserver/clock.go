package nodeserver

import "time"

// clock counts the seconds of a node's life, as memcached does: TTLs are kept as
// seconds on this scale, so that an item needs four bytes for one and a change of the
// wall clock moves none. It starts at 2, which leaves 1 for "already over".
type clock struct {
	now   func() time.Time
	start time.Time
}

const (
	clockOrigin  = 2
	alwaysPast   = 1
	maxRelative  = 30 * 24 * 60 * 60
	maxClockSecs = 1<<32 - 1
)

func newClock(now func() time.Time) clock { return clock{now: now, start: now()} }

// sec is the current second.
func (c *clock) sec() uint32 {
	return uint32(c.now().Sub(c.start)/time.Second) + clockOrigin
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
