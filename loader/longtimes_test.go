package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/ring"
)

// A node takes a number of more than 30 days for a point in time, in the token that asks for the right to refresh, too.
func TestSoftOfALongTTL(t *testing.T) {
	const day = 24 * time.Hour
	onMeta(t, func(t *testing.T, nodes []ring.Node) {
		for _, ttl := range []time.Duration{29 * day, 31 * day, 100 * 365 * day, math.MaxInt64} {
			t.Run(ttl.String(), func(t *testing.T) {
				var loads atomic.Int64
				cfg := loader.Config[string]{Prefix: fmt.Sprint(ttl), Codec: loader.String{}, TTL: ttl,
					Freshness: loader.Freshness{Soft: 200 * time.Millisecond},
					Load: func(context.Context, string) (string, error) {
						return fmt.Sprint(loads.Add(1)), nil
					}}
				l, _ := newProcess(t, nodes, cfg)
				require.Eventually(t, func() bool {
					v, err := l.Get(t.Context(), "k")
					require.NoError(t, err)
					return v != "1"
				}, time.Minute, 10*time.Millisecond, "it is due, and never loaded again")
			})
		}
	})
}

// The same for what is kept for when the origin fails.
func TestIfErrorOfALongTime(t *testing.T) {
	const day = 24 * time.Hour
	onMeta(t, func(t *testing.T, nodes []ring.Node) {
		for _, ifError := range []time.Duration{29 * day, 31 * day, 100 * 365 * day, math.MaxInt64 - time.Second} {
			t.Run(ifError.String(), func(t *testing.T) {
				var down atomic.Bool
				cfg := loader.Config[string]{Prefix: fmt.Sprint(ifError), Codec: loader.String{}, TTL: 200 * time.Millisecond,
					Freshness: loader.Freshness{IfError: ifError},
					Load: func(context.Context, string) (string, error) {
						if down.Load() {
							return "", errors.New("the origin is down")
						}
						return "1", nil
					}}
				l, _ := newProcess(t, nodes, cfg)
				_, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				down.Store(true)
				require.Eventually(t, func() bool {
					v, err := l.Get(t.Context(), "k")
					require.NoError(t, err)
					require.Equal(t, "1", v)
					return l.Counters().StaleOnError > 0
				}, time.Minute, 10*time.Millisecond)
				v, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, "1", v)
			})
		}
	})
}

// A node keeps nothing beyond January 2038, and what it keeps until then is no older for it.
func TestTTLBehind2038(t *testing.T) {
	const year = 365 * 24 * time.Hour
	onMeta(t, func(t *testing.T, nodes []ring.Node) {
		for prefix, mod := range map[string]func(*loader.Config[string]){
			"plain:":   func(c *loader.Config[string]) { c.TTL = 100 * year },
			"soft:":    func(c *loader.Config[string]) { c.TTL, c.Freshness.Soft = 100*year, time.Hour },
			"soft10:":  func(c *loader.Config[string]) { c.TTL, c.Freshness.Soft = 10*year, time.Hour }, // ends in time
			"jitter:":  func(c *loader.Config[string]) { c.TTL, c.Freshness.Jitter = 100*year, 0.9 },
			"iferror:": func(c *loader.Config[string]) { c.TTL, c.Freshness.IfError = time.Hour, 100*year },
		} {
			t.Run(prefix, func(t *testing.T) {
				var loads atomic.Int64
				cfg := loader.Config[string]{Prefix: prefix, Codec: loader.String{}, Load: func(context.Context, string) (string, error) {
					loads.Add(1)
					return "1", nil
				}}
				mod(&cfg)
				l, _ := newProcess(t, nodes, cfg)
				for range 50 {
					_, err := l.Get(t.Context(), "k")
					require.NoError(t, err)
				}
				n := l.Counters()
				require.EqualValues(t, 1, loads.Load(), "loads of 50 Gets at once: %d hits, %d of them due, %d misses, %d refreshes", n.NodeHits, n.StaleHits, n.Misses, n.Refreshes)
			})
		}
	})
}

// As long a LoadTimeout as there is is none: sums of it don't overflow.
func TestLoadTimeoutWithoutLimit(t *testing.T) {
	for _, limit := range []time.Duration{math.MaxInt64 - time.Minute, math.MaxInt64} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "1")
				o.slow = time.Second
				var ls []*loader.Loader[string]
				for range 5 { // processes
					ls = append(ls, open(t, c, o, func(c *loader.Config[string]) { c.LoadTimeout = limit }))
				}
				herd(t, 5, "1", ls...)
				require.EqualValues(t, 1, o.loads.Load())
			})
		})
	}
}

// Nor is the lease shorter for it.
func TestLeaseOfALoadWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		o.slow = 5 * time.Second
		mod := func(c *loader.Config[string]) { c.LoadTimeout = math.MaxInt64 }
		a, b := open(t, c, o, mod), open(t, c, o, mod)
		go a.Get(t.Context(), "k")
		time.Sleep(3 * time.Second)
		e, ok := c.Peek(0, "k")
		require.True(t, ok && e.Stub, "the holder still loads, and its lease is over")
		_, _ = b.Get(t.Context(), "k")
		require.EqualValues(t, 1, o.loads.Load())
	})
}

// An absence that is remembered for less than a millisecond is not remembered for seconds.
func TestShortNegativeTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin()
		l := open(t, c, o, func(c *loader.Config[string]) { c.NegativeTTL = 900 * time.Microsecond })
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		o.set("k", "1")
		time.Sleep(500 * time.Millisecond)
		v, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "1", v)
	})
}
