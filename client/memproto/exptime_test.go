package memproto

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

func TestExptime(t *testing.T) {
	const start = 1_700_000_000
	const month = 30 * 86400
	for _, c := range []struct {
		name string
		ttl  time.Duration
		want int64
	}{
		{"0 is never", 0, 0},
		{"the shortest there is", 1, 2},
		{"a millisecond", time.Millisecond, 2},
		{"a second would sometimes end at once", time.Second, 2},
		{"rounded up to the shortest", 1001 * time.Millisecond, 2},
		{"exactly the shortest", 2 * time.Second, 2},
		{"rounded up", 2*time.Second + 1, 3},
		{"an hour", time.Hour, 3600},
		{"a second less than 30 days", 30*day - time.Second, month - 1},
		{"less than a second less than 30 days", 30*day - 1, month},
		{"30 days, the longest relative one", 30 * day, month},
		{"the shortest absolute one", 30*day + 1, start + month + 1},
		{"30 days and a second", 30*day + time.Second, start + month + 1},
		{"31 days", 31 * day, start + 31*86400},
		{"the last second", (MaxExptime - start) * time.Second, MaxExptime},
		{"a second later", (MaxExptime - start + 1) * time.Second, MaxExptime},
		{"a century", 100 * 365 * day, MaxExptime},
		{"the longest there is", math.MaxInt64, MaxExptime},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, now := range []time.Time{time.Unix(start, 0), time.Unix(start, 0).UTC()} {
				got, err := Exptime(c.ttl, now)
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			}
		})
	}
	for _, ttl := range []time.Duration{-1, -time.Second, math.MinInt64} {
		_, err := Exptime(ttl, time.Unix(start, 0))
		require.ErrorIs(t, err, ErrNegativeTTL, ttl)
	}
}

func TestExptimeAt(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name string
		at   time.Time
		want int64
	}{
		{"now has passed", now, ExptimeExpired},
		{"an hour ago", now.Add(-time.Hour), ExptimeExpired},
		{"in 1970", time.Unix(0, 0), ExptimeExpired},
		{"the zero time", time.Time{}, ExptimeExpired},
		{"the next moment", now.Add(1), 2},
		{"in a minute", now.Add(time.Minute), 60},
		{"in 30 days", now.Add(30 * day), 30 * 86400},
		{"in 40 days", now.Add(40 * day), now.Unix() + 40*86400},
		{"at the last second", time.Unix(MaxExptime, 0), MaxExptime},
		{"a second later", time.Unix(MaxExptime+1, 0), MaxExptime},
		{"in the year 9999", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), MaxExptime},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, ExptimeAt(c.at, now)) })
	}
}

// No positive TTL becomes "never", or ends before its time, or is taken for a past date.
func TestExptimeNeverEndsEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(1_500_000_000, 2_000_000_000).Draw(t, "now"), rapid.Int64Range(0, 999_999_999).Draw(t, "fraction"))
		ttl := time.Duration(rapid.Int64Range(1, int64(365*day)).Draw(t, "ttl"))
		exp, err := Exptime(ttl, now)
		require.NoError(t, err)
		require.Positive(t, exp)
		left := time.Duration(exp) * time.Second
		if exp > MaxRelative {
			left = time.Unix(exp, 0).Sub(now)
		}
		require.GreaterOrEqual(t, left, ttl)
		require.Less(t, left, ttl+2*time.Second)
	})
}
