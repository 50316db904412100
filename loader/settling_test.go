package loader_test

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// A cache that fails after the flush is tried again, and not for ever; the origin gets the
// value once.
func TestTheCacheFailsAfterTheFlush(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
			var fails atomic.Int64
			fails.Store(math.MaxInt64)
			if recovers {
				fails.Store(6)
			}
			var stores atomic.Int64
			o.onStore = func(string, string) error { stores.Add(1); return nil }
			l, other := open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) { b.MaxAttempts = 5 })), open(t, c, o)
			mustGet(t, other, "old")
			c.Fail = func(string) error {
				if fails.Add(-1) >= 0 {
					return errors.New("cache is down")
				}
				return nil
			}
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			require.NoError(t, l.Flush(t.Context()))
			require.Zero(t, j.left())
			require.EqualValues(t, 1, stores.Load())
			c.Fail = nil
			if recovers {
				require.Zero(t, l.Counters().Back.Untold)
				mustGet(t, other, "new")
				return
			}
			require.EqualValues(t, 1, l.Counters().Back.Untold)
			mustGet(t, other, "old") // until the TTL
		})
	}
}

// A write that has been at the origin, and whose copies cannot be told of it yet, counts as flushed and not as one that never went there
// when a newer one of its key takes its place.
func TestAWriteAtTheOriginIsNotCoalesced(t *testing.T) {
	for _, while := range []string{"pausing", "telling"} {
		synctest.Test(t, func(t *testing.T) {
			c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
			var l *loader.Loader[string]
			var flushed, again atomic.Bool
			c.Fail = func(method string) error {
				if while == "telling" && method == "Delete" && flushed.Load() && again.CompareAndSwap(false, true) {
					go func() { _ = l.Put(t.Context(), "k", "2") }()
					synctest.Wait()
				}
				return errors.New("cache is down")
			}
			o.onStore = func(string, string) error { flushed.Store(true); return nil }
			l = open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) { b.MinBackoff = time.Minute; b.MaxBackoff = time.Minute }))
			require.NoError(t, l.Put(t.Context(), "k", "1"))
			time.Sleep(time.Second)
			require.EqualValues(t, 1, l.Counters().Back.Flushed)
			if while == "pausing" {
				require.NoError(t, l.Put(t.Context(), "k", "2"))
			}
			time.Sleep(time.Second)
			c.Fail = nil
			require.NoError(t, l.Flush(t.Context()))
			s := l.Counters().Back
			require.EqualValues(t, 2, s.Flushed)
			require.Zero(t, s.Coalesced, "both went there")
		})
	}
}
