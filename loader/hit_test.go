package loader

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// What is taken for fresh without a look at the clock is fresh by every clock, and by every throw of the dice.
func TestSurelyFreshIsFresh(t *testing.T) {
	sure := 0
	rapid.Check(t, func(rt *rapid.T) {
		ms := func(name string, least, most int64) time.Duration {
			return time.Duration(rapid.Int64Range(least, most).Draw(rt, name)) * time.Millisecond
		}
		hard := ms("hard", 1, 100_000)
		e := envelope{life: life{
			soft: ms("soft", 1, hard.Milliseconds()), hard: hard, keep: hard + ms("longer", 0, 10_000), cost: ms("cost", 0, 3000),
		}}
		ttl := time.Duration(rapid.IntRange(0, 120).Draw(rt, "ttl")) * time.Second
		l := &Loader[string]{}
		l.cfg.Freshness.Beta = rapid.Float64Range(-1, 3).Draw(rt, "beta")
		if rapid.Bool().Draw(rt, "strong") {
			l.cfg.Consistency = Strong
		}
		if !l.surelyFresh(&e, ttl) {
			return
		}
		sure++
		for _, skew := range []time.Duration{-time.Hour, -time.Second, 0, ms("skew", -100_000, 100_000), time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				e.written = time.Now().Add(-skew)
				for range 10 {
					require.Equal(t, isFresh, l.judge(&e, l.ageOf(&e, ttl)))
				}
			})
		}
	})
	require.Positive(t, sure)
	// A minute before a value of ten is due, nobody reads the clock.
	l := aged(t, Freshness{}, 10*time.Minute)
	e := envelope{life: l.lifeOf(10 * time.Millisecond)}
	require.True(t, l.surelyFresh(&e, time.Minute))
	require.False(t, l.surelyFresh(&e, time.Second))
	require.False(t, l.surelyFresh(&e, 0), "nobody says how old it is")
	require.NoError(t, l.Close())
}

// Of a value that is kept for as long as there is the clock is read: sums of that don't overflow.
func TestSurelyFreshForAsLongAsThereIs(t *testing.T) {
	for name, keep := range map[string]struct {
		ttl time.Duration
		f   Freshness
	}{
		"due":          {math.MaxInt64, Freshness{Soft: time.Minute}},
		"past its TTL": {time.Hour, Freshness{IfError: math.MaxInt64 - time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			l := aged(t, keep.f, keep.ttl)
			e := envelope{life: l.lifeOf(0)}
			require.False(t, l.surelyFresh(&e, 10*365*24*time.Hour), "a node keeps nothing beyond January 2038, and so says nothing of its age")
			require.NoError(t, l.Close())
		})
	}
}

// Raw bytes are their reader's own, whether they are made of what a node sent or copied: who writes to them, or behind
// them, changes nothing that others read.
func TestBytesAreTheReadersOwn(t *testing.T) {
	c := fakecache.New(2)
	l, err := New(c, Config[[]byte]{Codec: Bytes{}, Load: func(context.Context, string) ([]byte, error) { return []byte("value"), nil }})
	require.NoError(t, err)
	defer l.Close()
	_, err = l.Get(t.Context(), "k")
	require.NoError(t, err)
	for range 3 {
		lease, err := c.Lease(t.Context(), "k", item.LeaseOptions{})
		require.NoError(t, err)
		v, err := l.openHit("k", &lease, &envelope{})
		require.NoError(t, err)
		require.Equal(t, "value", string(v))
		require.Same(t, &lease.Item.Value[len(lease.Item.Value)-1], &v[len(v)-1], "copied")
		require.Equal(t, len(v), cap(v))

		lease.Level = item.FromNear // others read the same memory
		w, err := l.openHit("k", &lease, &envelope{})
		require.NoError(t, err)
		require.NotSame(t, &v[0], &w[0], "a near-cache's bytes were given away")

		v, err = l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "value", string(v))
		clear(v)
	}
	require.EqualValues(t, 3, l.Counters().NodeHits)
	s, err := ownString(nil)
	require.NoError(t, err)
	require.Empty(t, s)

	// Only these two: a codec that embeds one may decode otherwise.
	require.NotNil(t, decodeOwn[string](String{}))
	require.Nil(t, decodeOwn[string](struct{ String }{}))
	require.Nil(t, decodeOwn[string](JSON[string]{}))
	require.Nil(t, decodeOwn[[]byte](JSON[[]byte]{}))
}
