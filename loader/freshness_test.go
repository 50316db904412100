package loader

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader/internal/fakecache"
)

func aged(t testing.TB, f Freshness, ttl time.Duration) *Loader[string] {
	t.Helper()
	l, err := New(fakecache.New(1), Config[string]{
		Load: func(context.Context, string) (string, error) { return "v", nil }, TTL: ttl, Freshness: f,
	})
	require.NoError(t, err)
	return l
}

func TestFreshnessRefuses(t *testing.T) {
	for name, f := range map[string]Freshness{
		"Freshness.Soft is negative":                   {Soft: -1},
		"Freshness.Soft (1m0.000000001s) is more than": {Soft: time.Minute + 1},
		"Freshness.IfError is negative":                {IfError: -1},
		"Freshness.IfError (2562047h47m16.854":         {IfError: math.MaxInt64},
		"Freshness.Beta is NaN":                        {Beta: math.NaN()},
		"Freshness.Beta is +Inf":                       {Beta: math.Inf(1)},
		"Freshness.Jitter is NaN":                      {Jitter: math.NaN()},
		"Freshness.Jitter is -0.1":                     {Jitter: -0.1},
		"Freshness.Jitter is 0.95":                     {Jitter: 0.95},
	} {
		_, err := f.withDefaults(time.Minute)
		require.ErrorContains(t, err, "memherd: loader.Config."+name)
	}
	f, err := Freshness{}.withDefaults(time.Minute)
	require.NoError(t, err)
	require.Equal(t, Freshness{Soft: time.Minute, Beta: 1}, f)
}

// Without a node's word the reader's clock says how old a value is; with it, a clock that
// is wrong by any amount is out by two seconds at most, and one that is right by nothing.
func TestAgeIsHeldAgainstTheNode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keep := time.Duration(rapid.Int64Range(1, 100_000_000).Draw(rt, "keep")) * time.Millisecond
		kept := max((keep + time.Second - 1).Truncate(time.Second), 2*time.Second)
		age := time.Duration(rapid.Int64Range(0, kept.Milliseconds()).Draw(rt, "age")) * time.Millisecond
		skew := time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(rt, "skew")) * time.Millisecond
		tick := time.Duration(rapid.Int64Range(0, 999).Draw(rt, "phase")) * time.Millisecond
		// The node counts ticks of its own clock, whose phase is anything.
		gone := (age + tick).Truncate(time.Second)
		ttl := kept - gone
		synctest.Test(t, func(t *testing.T) {
			e := envelope{written: time.Now().Add(-age), life: life{soft: keep, hard: keep, keep: keep}}
			l := &Loader[string]{}
			require.Equal(t, age, l.ageOf(&e, ttl), "clocks that agree")
			e.written = e.written.Add(skew)
			require.Equal(t, max(age-skew, 0), l.ageOf(&e, 0), "no word of the node")
			if ttl > 0 {
				require.InDelta(t, age, l.ageOf(&e, ttl), float64(2*time.Second+time.Millisecond))
			}
		})
	})
}

// Old envelopes have no times: such a value lives as long as its node keeps it.
func TestOldValuesAreFresh(t *testing.T) {
	l := aged(t, Freshness{}, time.Minute)
	e := envelope{written: time.Unix(0, 0)}
	require.Equal(t, isFresh, l.judge(&e, l.ageOf(&e, time.Second)))
	require.Zero(t, e.left(0, 0))
}

func TestVerdicts(t *testing.T) {
	l := aged(t, Freshness{Soft: time.Second, IfError: time.Minute, Beta: -1}, 2*time.Second)
	e := envelope{life: l.lifeOf(time.Hour)}
	require.Equal(t, life{soft: time.Second, hard: 2 * time.Second, keep: 62 * time.Second, cost: time.Hour}, e.life)
	for _, c := range []struct {
		age  time.Duration
		want verdict
	}{
		{0, isFresh}, {999 * time.Millisecond, isFresh}, {time.Second, isDue}, {1999 * time.Millisecond, isDue},
		{2 * time.Second, isExpired}, {time.Hour, isExpired},
	} {
		require.Equal(t, c.want, l.judge(&e, c.age), "%v", c.age)
	}
}

// XFetch: a value due in as much time as its load takes is refreshed by one read in e.
func TestEarlyRefreshes(t *testing.T) {
	for _, c := range []struct {
		beta   float64
		ahead  time.Duration // before it is due
		chance float64
	}{
		{0, time.Second, math.Exp(-1)}, {1, 2 * time.Second, math.Exp(-2)}, {2, time.Second, math.Exp(-0.5)},
		{1, 50 * time.Second, 0}, {-1, time.Second, 0}, {1, 0, 1},
	} {
		l := aged(t, Freshness{Beta: c.beta}, time.Minute)
		e := envelope{life: l.lifeOf(time.Second)}
		const n = 20000
		got := 0
		for range n {
			if l.judge(&e, time.Minute-c.ahead-time.Nanosecond) == isEarly {
				got++
			}
		}
		// Six standard deviations: one run in 10^9 is out.
		require.InDelta(t, c.chance, float64(got)/n, 6*math.Sqrt(0.25/n), "%+v", c)
	}
	l := aged(t, Freshness{Beta: 1000}, time.Minute)
	e := envelope{life: l.lifeOf(0)}
	require.Equal(t, isFresh, l.judge(&e, time.Minute-time.Nanosecond), "what cost no load is not refreshed early")
}

// Jitter only shortens, both times by the same share, and never to nothing.
func TestJitter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jitter := rapid.Float64Range(0, MaxJitter).Draw(t, "jitter")
		ttl := time.Duration(rapid.Int64Range(1, 1e15).Draw(t, "TTL"))
		soft := time.Duration(rapid.Int64Range(1, int64(ttl)).Draw(t, "soft"))
		l := &Loader[string]{cfg: Config[string]{TTL: ttl, Freshness: Freshness{Soft: soft, Jitter: jitter}}}
		f := l.lifeOf(0)
		least := max(scale(ttl, 1-jitter)-time.Microsecond, 0)
		require.GreaterOrEqual(t, f.hard, least)
		require.LessOrEqual(t, f.hard, max(ttl, time.Millisecond))
		require.LessOrEqual(t, f.soft, max(soft, time.Millisecond))
		require.LessOrEqual(t, f.soft, f.hard)
		require.Equal(t, ttl, f.keep, "the node's word is the same for all")
		require.GreaterOrEqual(t, f.soft, time.Millisecond)
	})
}
