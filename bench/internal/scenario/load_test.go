package scenario

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/bench/internal/value"
)

// liar is a cache in memory whose gets can be tampered with.
type liar struct {
	mu     sync.Mutex // guards what follows
	m      map[string][]byte
	gets   int
	tamper func(key string, b []byte) ([]byte, error)
}

func (l *liar) Get(_ context.Context, key string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	b, ok := l.m[key]
	if l.tamper != nil {
		return l.tamper(key, b)
	}
	if !ok {
		return nil, rival.ErrMiss
	}
	return b, nil
}

func (l *liar) Set(_ context.Context, key string, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.m[key] = b
	return nil
}

// lie tampers with gets from now on.
func (l *liar) lie(tamper func(string, []byte) ([]byte, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tamper = tamper
}

// more waits for so many more gets.
func (l *liar) more(r *run, n int) error {
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.gets
	}
	from := count()
	return r.await("it is read", func() bool { return count() >= from+n })
}

func (l *liar) Close() error { return nil }

// TestLoadFindsOut: whatever is wrong with what a cache says is counted for what it is,
// in the phase in which it was said, and nothing is found where nothing is wrong.
func TestLoadFindsOut(t *testing.T) {
	broken := errors.New("read 127.0.0.1:1->127.0.0.1:2: broken")
	for name, c := range map[string]struct {
		tamper func(key string, b []byte) ([]byte, error)
		want   func(t *tally) *int64
	}{
		"honest":      {nil, nil},
		"another key": {func(string, []byte) ([]byte, error) { return value.Make("x", 9, valueSize), nil }, func(t *tally) *int64 { return &t.wrong }},
		"cut":         {func(_ string, b []byte) ([]byte, error) { return b[:50], nil }, func(t *tally) *int64 { return &t.wrong }},
		"old":         {func(key string, _ []byte) ([]byte, error) { return value.Make(key, 0, valueSize), nil }, func(t *tally) *int64 { return &t.stale }},
		"lost":        {func(string, []byte) ([]byte, error) { return nil, rival.ErrMiss }, func(t *tally) *int64 { return &t.misses }},
		"broken":      {func(string, []byte) ([]byte, error) { return nil, broken }, func(t *tally) *int64 { return &t.errors }},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{Setup: Quick, ctx: t.Context(), seed: 1}
			c1 := &liar{m: map[string][]byte{}}
			l := &load{caches: []cache{c1}, reads: reads}
			require.NoError(t, r.start(l, func(key string) error { return c1.Set(r.ctx, key, value.Make(key, 1, valueSize)) }))
			require.NoError(t, c1.more(r, 1000))
			l.enter(before)
			require.NoError(t, c1.more(r, 1000))
			l.enter(during)
			c1.lie(c.tamper)
			require.NoError(t, c1.more(r, 1000))
			require.NoError(t, l.stop())
			calm, _ := l.sum(warming, before)
			fault, length := l.sum(during)
			assert.Positive(t, length)
			assert.Zero(t, calm.errors+calm.misses+calm.wrong+calm.stale)
			assert.GreaterOrEqual(t, calm.ops-calm.sets, int64(2000-r.Workers))
			assert.InEpsilon(t, 0.1, float64(fault.sets)/float64(fault.ops), 0.5)
			assert.Len(t, fault.read, int(fault.ops-fault.sets))
			assert.Len(t, fault.set, int(fault.sets))
			n := fault.errors + fault.misses + fault.wrong + fault.stale
			if c.want == nil {
				assert.Zero(t, n)
			} else {
				assert.Equal(t, n, *c.want(&fault))
				// Gets before the first lie are right.
				assert.InDelta(t, fault.ops-fault.sets, n, float64(fault.ops-fault.sets-900))
			}
			wrong, stale := l.bad()
			assert.Equal(t, fault.wrong, wrong)
			assert.Equal(t, fault.stale, stale)
			if name == "broken" {
				assert.Equal(t, []string{"get: read …: broken"}, r.errs.First(), "two of a kind look alike")
			}
			end := l.sweep()
			assert.Equal(t, c.want != nil, end.errors+end.misses+end.wrong+end.stale == int64(len(l.keys)), "%+v", end)
		})
	}
}

func TestHitRatio(t *testing.T) {
	var h hitRatio
	loads := int64(0)
	for i := range int64(40) {
		if i >= 20 && i < 22 {
			loads += 450 // half of the reads in two slices
		}
		h.note(1000*i, loads)
	}
	assert.InDelta(t, 100, h.worst(0, 18), 1e-9)
	assert.InDelta(t, 80, h.worst(15, 40), 1e-9, "two slices of five at half")
	assert.InDelta(t, 100, h.worst(30, 100), 1e-9, "later ones only")
}

func TestDials(t *testing.T) {
	d := newDials()
	start := time.Unix(1000, 0)
	for _, ms := range []int{0, 100, 200, 5000, 5400, 5999, 6000, 9000} {
		d.at["a"] = append(d.at["a"], start.Add(time.Duration(ms)*time.Millisecond))
	}
	assert.Equal(t, 3, d.worst("a", start))
	assert.Equal(t, 1, d.worst("a", start.Add(7*time.Second)))
	assert.Zero(t, d.worst("b", start))
}

func TestSmallThings(t *testing.T) {
	var none *fresh
	assert.False(t, none.next(rand.New(rand.NewPCG(1, 1))))
	assert.True(t, (&fresh{share: 1}).next(rand.New(rand.NewPCG(1, 1))))
	assert.Zero(t, quantile(nil, 0.99))
	assert.Equal(t, 2.0, quantile([]uint32{3000, 1000, 2000}, 0.5))
	assert.Zero(t, perSecond(5, 0))
	assert.Equal(t, 25.0, percent(1, 4))
	assert.Zero(t, percent(1, 0))
	r := &run{Setup: Quick, ctx: t.Context()}
	broken := errors.New("broken")
	assert.ErrorIs(t, r.parallel(100, func(i int) error {
		if i == 50 {
			return broken
		}
		return nil
	}), broken)
}
