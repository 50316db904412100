package origin

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/bench/internal/value"
)

func TestLedger(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	l := NewLedger(10 * time.Second)
	first := l.Begin("a", at(0)) // needed
	l.Begin("a", at(1))(true)    // again, while the first is under way
	first(true)
	l.Begin("a", at(9))(true) // too early
	assert.Equal(t, Loads{All: 3, Needed: 1}, l.Loads())
	l.Begin("a", at(19))(false) // due, counted from the last that was given
	l.Begin("a", at(20))(true)  // again, because it failed
	l.Begin("b", at(20))(true)
	n := l.Loads()
	assert.Equal(t, Loads{All: 3, Needed: 2, Failed: 1}, n)
	assert.InDelta(t, 1.5, n.Excess(), 0)
	l.Lost()
	l.Begin("a", at(21))(true)
	l.Begin("b", at(21))(true)
	l.Begin("b", at(21))(true)
	assert.Equal(t, Loads{All: 3, Needed: 2}, l.Loads())
	assert.Zero(t, l.Loads().Excess())

	ever := NewLedger(0)
	ever.Begin("a", at(0))(true)
	ever.Begin("a", at(1_000_000))(true)
	assert.Equal(t, Loads{All: 2, Needed: 1}, ever.Loads())
}

// Whoever loads each key only when a value has failed to come or has ended needs all, and
// every load besides is found.
func TestLedgerFindsEveryExtraLoad(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l, now := NewLedger(time.Minute), time.Unix(0, 0)
		ends := map[string]time.Time{}
		var want Loads
		for range rapid.IntRange(0, 50).Draw(rt, "loads") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "pause")) * time.Second)
			key := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key")
			extra := rapid.Bool().Draw(rt, "extra")
			if end, ok := ends[key]; ok && now.Before(end) != extra {
				continue
			} else if !ok && extra {
				continue
			}
			l.Begin(key, now)(true)
			ends[key] = now.Add(time.Minute)
			want.All++
			if !extra {
				want.Needed++
			}
		}
		require.Equal(rt, want, l.Loads())
	})
}

func TestShared(t *testing.T) {
	hold, asked := make(chan struct{}), make(chan int, 1)
	s, err := Share(SharedConfig{Size: 100, Cycle: time.Hour, Asked: func(who int, key string) <-chan struct{} {
		if key != "held" {
			return nil
		}
		asked <- who
		return hold
	}})
	require.NoError(t, err)
	var rs []*Remote
	for who := range 2 {
		r, err := Dial(s.Addr(), who)
		require.NoError(t, err)
		rs = append(rs, r)
		b, err := r.Load(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, value.Make("k", 1, 100), b)
	}
	require.Equal(t, Loads{All: 2, Needed: 1}, s.Loads())

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := rs[1].Load(ctx, "held")
		assert.ErrorIs(t, err, context.Canceled)
	})
	require.Equal(t, 1, <-asked)
	cancel()
	wg.Wait()
	wg.Go(func() {
		_, err := rs[0].Load(t.Context(), "held")
		assert.Error(t, err, "the origin was shut meanwhile")
	})
	require.Equal(t, 0, <-asked)
	require.NoError(t, s.Close())
	wg.Wait()
	require.Equal(t, Loads{All: 2, Needed: 1, Failed: 2}, s.Loads())
	for _, r := range rs {
		require.NoError(t, r.Close())
	}
	_, err = Dial(s.Addr(), 0)
	require.ErrorContains(t, err, "cannot reach the origin")
}

// One slot serves one load after the other, and a slow origin takes longer for each.
func TestSharedSlots(t *testing.T) {
	s, err := Share(SharedConfig{Slots: 1, Takes: time.Millisecond, Patience: 3 * time.Millisecond})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	r, err := Dial(s.Addr(), 0)
	require.NoError(t, err)
	defer r.Close()
	began := time.Now()
	load := func() {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				_, err := r.Load(context.Background(), "k")
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	}
	load()
	assert.GreaterOrEqual(t, time.Since(began), 5*time.Millisecond)
	assert.GreaterOrEqual(t, s.Loads().Failed, int64(1), "nobody waits for the last that long")
	s.Slow(4)
	began = time.Now()
	load()
	assert.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
}
