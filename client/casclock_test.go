package client

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestCASClockTells(t *testing.T) {
	var k casClock
	require.Zero(t, k.age(1, 5, ms), "nothing is known")
	k.mark(1, 100, 10*ms)
	require.Zero(t, k.age(1, 100, 20*ms), "one mark tells nothing of how fast it goes")
	k.mark(1, 200, 20*ms)
	for _, c := range []struct {
		cas  uint64
		now  time.Duration
		want time.Duration
	}{
		{150, 30 * ms, 15 * ms},
		{100, 30 * ms, 20 * ms},
		{200, 30 * ms, 10 * ms},
		{40, 30 * ms, 20 * ms},   // at least since the oldest mark
		{250, 30 * ms, 5 * ms},   // it went on as fast
		{900, 30 * ms, 0},        // or faster: it has not been given out later than now
		{250, 41 * ms, 0},        // the last mark is too old for that
		{150, 101 * ms, 86 * ms}, // but not for what was before it
		{199, 101 * ms, 81*ms + ms/10},
		{0, 30 * ms, 0},
	} {
		require.Equal(t, c.want, k.age(1, c.cas, c.now), c)
	}
	require.Zero(t, k.age(2, 150, 30*ms), "of another life nothing is known")
	k.mark(1, 300, 20*ms+casWide+1)
	require.Equal(t, 10*ms, k.age(1, 250, 30*ms+casWide+1), "marks far apart say no more than that it was before the later")
	require.Equal(t, 10*ms, k.age(1, 300, 30*ms+casWide+1))
	require.Zero(t, k.age(1, 310, 20*ms+2*casWide+2), "nor is an old one believed of what came after it, though the spacing is wide")
	require.NotZero(t, k.age(1, 301, 20*ms+2*casWide+1))
	k.mark(2, 7, 40*ms)
	k.mark(2, 8, 50*ms)
	k.mark(1, 400, 55*ms) // late
	require.Zero(t, k.age(1, 150, 60*ms))
	require.Equal(t, 10*ms, k.age(2, 8, 60*ms))
}

// Marks too close to one another, of before, or of a node without CAS are not taken down.
func TestCASClockTakesDownWhatTells(t *testing.T) {
	var k casClock
	for _, m := range []struct {
		cas  uint64
		at   time.Duration
		want int
	}{
		{0, 0, 0}, {1 << 60, 0, 1}, {9, casOver - 1, 1},
		{10, casOver, 1}, {11, casOver + casApart - 1, 1}, {9, casOver + casApart, 1}, {10, casOver + casApart, 1}, // another counter's
		{11, casOver + casApart, 2}, {12, casOver + casApart, 2}, {12, 0, 2},
	} {
		k.mark(1, m.cas, m.at)
		require.Equal(t, m.want, k.n, m)
	}
	for i := range uint64(3 * casMarks) {
		k.mark(1, 12+i, casOver+time.Duration(2+i)*casApart)
	}
	require.Equal(t, casMarks, k.n)
	last := uint64(3*casMarks) + 11
	now := casOver + time.Duration(last-10)*casApart
	require.Equal(t, (casMarks-1)*casApart, k.age(1, 12, now), "it reaches as far back as it has marks")
	require.Equal(t, (casMarks-1)*casApart, k.age(1, last-casMarks+1, now))
	require.Equal(t, (casMarks-2)*casApart, k.age(1, last-casMarks+2, now))
}

// A server that numbers what many store, at a rate that changes by a half from one store to the next: what one of its clients
// makes of its own stores is near the truth, and never of the future or of before its oldest mark.
func TestCASClockNearTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		every := time.Duration(rapid.IntRange(20, 2000).Draw(t, "µs between stores")) * time.Microsecond
		share := rapid.IntRange(1, 10).Draw(t, "one in so many is ours")
		var k casClock
		now := time.Duration(0)
		given := []time.Duration{0}
		for range 2000 {
			now += every/2 + time.Duration(rng.Int64N(int64(every)))
			given = append(given, now)
			if rng.IntN(share) == 0 {
				k.mark(1, uint64(len(given)-1), now)
			}
		}
		require.Greater(t, k.n, 2)
		reach, apart := now-k.back(k.n).at, casApart
		for i := 1; i < k.n; i++ {
			apart = max(apart, k.back(i).at-k.back(i+1).at)
		}
		for i := len(given) - 1; i > 0 && now-given[i] < reach; i -= 13 {
			age, truth := k.age(1, uint64(i), now), now-given[i]
			if age == 0 {
				continue // later than all marks
			}
			require.InDelta(t, float64(truth), float64(age), float64(apart), "store %d of %d, every %v, one in %d", i, len(given), every, share)
			require.LessOrEqual(t, age, reach)
		}
	})
}

// What comes after the newest mark is placed by the rate of the newest eight, not of the last two.
func TestCASClockGoesOnAtTheUsualRate(t *testing.T) {
	var k casClock
	for i := range uint64(10) {
		k.mark(1, 100*i, time.Duration(2*i)*ms)
	}
	k.mark(1, 901, 20*ms) // hardly anything was stored between
	require.InDelta(t, 2*ms, k.age(1, 981, 24*ms), float64(ms/2))
}

// Whatever the CAS values are, and in whatever order they come, ages are of the past, and nothing panics.
func TestCASClockOfNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k casClock
		now := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(10*ms)).Draw(t, "later"))
			life, cas := rapid.Uint64Range(0, 1).Draw(t, "life"), rapid.Uint64().Draw(t, "cas")
			if rapid.Bool().Draw(t, "mark") {
				k.mark(life, cas, now)
				continue
			}
			age := k.age(life, cas, now)
			require.GreaterOrEqual(t, age, time.Duration(0))
			require.LessOrEqual(t, age, now)
		}
	})
}
