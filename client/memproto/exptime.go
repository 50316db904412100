package memproto

import (
	"errors"
	"math"
	"time"
)

// MaxRelative is the longest exptime a node counts from now, in seconds: anything
// above it is taken for an absolute Unix time (memcached's REALTIME_MAXDELTA).
const MaxRelative = 30 * 24 * 60 * 60

// MaxExptime is the latest exptime that Exptime gives, ten minutes before the last second a node accepts (2^31-1, in January 2038; a
// later one would read as already expired): there have to be later ones to name when the right to
// refresh what ends so late is asked for.
const MaxExptime = math.MaxInt32 - 10*60

// ErrNegativeTTL refuses a negative TTL; ExptimeExpired is how to ask for one.
var ErrNegativeTTL = errors.New("memproto: negative TTL")

// ExptimeExpired is the exptime of an item that is expired when it arrives.
const ExptimeExpired int64 = -1

// Exptime converts a TTL into what stands on the wire: 0 for 0, else whole seconds,
// rounded up, so that no positive TTL becomes "never" and none ends early; over 30
// days as absolute time, counted from now, and no later than MaxExptime. An
// exptime of 1 sometimes ends at once, because nodes count on a clock that ticks
// once a second (protocol.txt), so the shortest is 2.
func Exptime(ttl time.Duration, now time.Time) (int64, error) {
	if ttl < 0 {
		return 0, ErrNegativeTTL
	}
	if ttl == 0 {
		return 0, nil
	}
	sec := int64(ttl / time.Second)
	if ttl%time.Second != 0 {
		sec++
	}
	if sec <= MaxRelative {
		return max(sec, 2), nil
	}
	// The sum is rounded, not its parts: now has a fraction of a second, too.
	at := now.Add(ttl)
	sec = at.Unix()
	if at.Nanosecond() > 0 {
		sec++
	}
	return min(sec, MaxExptime), nil
}

// ExptimeAt is Exptime for a point in time: expired if it has passed, otherwise the
// time left, as Exptime would say it.
func ExptimeAt(at, now time.Time) int64 {
	left := at.Sub(now)
	if left <= 0 {
		return ExptimeExpired
	}
	exp, _ := Exptime(left, now) // fails for negative TTLs only
	return exp
}
