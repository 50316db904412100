package loader_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

func soft(c *loader.Config[string]) {
	c.TTL, c.Freshness.Soft = time.Minute, 10*time.Second
}

// got requires that Get returns v at once.
func got(t *testing.T, l *loader.Loader[string], v string) {
	t.Helper()
	began := time.Now()
	have, err := l.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, v, have)
	require.Zero(t, time.Since(began), "a reader was blocked")
}

// Past its soft time a value is returned at once by everybody while one process of four
// loads it; then all have the new one.
func TestStaleWhileRevalidate(t *testing.T) {
	for _, tier0 := range []bool{false, true} {
		t.Run(fmt.Sprintf("tier0=%v", tier0), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "1")
				if tier0 {
					c.SetTier0()
				}
				var fleet []*loader.Loader[string]
				for range 4 {
					fleet = append(fleet, open(t, c, o, soft))
				}
				due := time.Now().Add(10 * time.Second)
				herd(t, 400, "1", fleet...)
				require.EqualValues(t, 1, o.loads.Load())
				o.set("k", "2")
				o.slow = time.Second
				time.Sleep(time.Until(due) - time.Millisecond)
				for _, l := range fleet {
					got(t, l, "1")
				}
				synctest.Wait()
				require.EqualValues(t, 1, o.loads.Load(), "not due yet")
				time.Sleep(time.Millisecond)
				for range 100 {
					for _, l := range fleet {
						got(t, l, "1")
					}
				}
				time.Sleep(time.Second)
				synctest.Wait()
				for _, l := range fleet {
					got(t, l, "2")
				}
				want := int64(2)
				if tier0 {
					want = 5 // one a process: nodes without meta commands show no mark
				}
				require.Equal(t, want, o.loads.Load())
				var stale, refreshes uint64
				for _, l := range fleet {
					stale += l.Counters().StaleHits
					refreshes += l.Counters().Refreshes
					require.Zero(t, l.Counters().RefreshErrors)
					if !tier0 {
						require.Zero(t, l.Counters().LeaseLost)
					}
				}
				require.NotZero(t, stale)
				require.NotZero(t, refreshes)
			})
		})
	}
}

// Over many cycles a fleet loads a key that is read all the time once a cycle, and nobody
// ever waits after the first load.
func TestSteadyTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		var fleet []*loader.Loader[string]
		for range 4 {
			fleet = append(fleet, open(t, c, o, soft))
		}
		herd(t, 4, "v", fleet...)
		o.slow = 50 * time.Millisecond
		const cycles = 100
		for range cycles * 1000 {
			time.Sleep(10 * time.Millisecond)
			for _, l := range fleet {
				got(t, l, "v")
			}
		}
		t.Logf("%d loads in %d soft times", o.loads.Load(), cycles)
		require.InDelta(t, cycles, o.loads.Load(), 0.01*cycles)
	})
}

// A value past its TTL is a miss to the millisecond, though its node keeps whole seconds.
func TestHardTTLCountsMilliseconds(t *testing.T) {
	for _, tier0 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "1")
			if tier0 {
				c.SetTier0()
			}
			l := open(t, c, o, func(c *loader.Config[string]) { c.TTL = 2500 * time.Millisecond })
			got(t, l, "1")
			o.set("k", "2")
			time.Sleep(2499 * time.Millisecond)
			got(t, l, "1")
			time.Sleep(time.Millisecond)
			_, ok := c.Peek(0, "k")
			require.True(t, ok, "the node still has it")
			herd(t, 100, "2", l, open(t, c, o))
			if tier0 { // each process by itself
				require.LessOrEqual(t, o.loads.Load(), int64(3))
			} else {
				require.EqualValues(t, 2, o.loads.Load())
			}
		})
	}
}

// A cache that knows nothing of refreshes has expired values deleted, and is loaded once.
func TestExpiredValuesWithoutRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		l := open(t, plain{c}, o, func(c *loader.Config[string]) { c.TTL = 2500 * time.Millisecond })
		got(t, l, "1")
		o.set("k", "2")
		time.Sleep(2500 * time.Millisecond)
		herd(t, 100, "2", l)
		require.EqualValues(t, 2, o.loads.Load())
		require.Zero(t, l.Counters().Corrupt)
	})
}

// Nor does such a cache get a request for each read of a value that is due.
func TestDueValuesWithoutRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		l := open(t, plain{c}, o, soft)
		got(t, l, "1")
		time.Sleep(10 * time.Second)
		asked := c.Calls("Lease")
		for range 1000 {
			got(t, l, "1")
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, c.Calls("Lease")-asked, 1000+2*11, "two a second more")
		require.EqualValues(t, 1, o.loads.Load())
	})
}

type plain struct{ *fakecache.Cache }

func (c plain) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	o.Refresh, o.Force = 0, false
	return c.Cache.Lease(ctx, key, o)
}

// What a delete or a Put has done stands, whenever it came in a refresh.
func TestARefreshUndoesNothing(t *testing.T) {
	for _, then := range []string{"delete here", "delete there", "put here", "put there", "put through here", "put through there"} {
		t.Run(then, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "1")
				l, other := open(t, c, o, soft), open(t, c, o, soft)
				through := open(t, c, o, soft, writeThrough)
				got(t, l, "1")
				time.Sleep(10 * time.Second)
				o.slow = time.Second
				got(t, l, "1")
				synctest.Wait() // the refresh has read "1" and takes a second to say so
				switch then {
				case "delete here":
					require.NoError(t, l.Delete(t.Context(), "k"))
				case "delete there":
					require.NoError(t, other.Delete(t.Context(), "k"))
				case "put here":
					require.NoError(t, l.Put(t.Context(), "k", "2"))
				case "put there":
					require.NoError(t, other.Put(t.Context(), "k", "2"))
				case "put through here", "put through there":
					require.NoError(t, through.Put(t.Context(), "k", "2"))
				}
				time.Sleep(time.Minute / 2)
				synctest.Wait()
				v, err := l.Get(t.Context(), "k")
				if then == "delete here" || then == "delete there" {
					require.ErrorIs(t, err, loader.ErrNotFound)
				} else {
					require.NoError(t, err)
					require.Equal(t, "2", v)
				}
				n := l.Counters()
				require.EqualValues(t, 1, n.LeaseLost+n.Voided)
			})
		})
	}
}

var loadFaults = map[string]func() error{
	"error":  func() error { return errors.New("boom") },
	"panic":  func() error { panic("boom") },
	"goexit": func() error { runtime.Goexit(); return nil },
}

// A refresh that fails, panics or exits keeps the fleet from the origin for a pause and then
// hands the right on: the value is still there, and another process refreshes it.
func TestAFailedRefreshIsHandedOn(t *testing.T) {
	for name, fault := range loadFaults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fakecache.New(2)
				bad, good := newOrigin("k", "1"), newOrigin("k", "2")
				var told []error
				a := open(t, c, bad, soft, func(c *loader.Config[string]) {
					c.Hooks.Refresh = func(_ string, _ time.Duration, err error) { told = append(told, err) }
				})
				b := open(t, c, good, soft)
				got(t, a, "1")
				time.Sleep(10 * time.Second)
				bad.hook = func(string) error { return fault() }
				got(t, a, "1")
				synctest.Wait()
				for range 100 {
					got(t, a, "1")
					got(t, b, "1")
					synctest.Wait()
				}
				require.EqualValues(t, 2, bad.loads.Load(), "one try")
				require.Zero(t, good.loads.Load())
				time.Sleep(3 * time.Second)
				got(t, b, "1")
				synctest.Wait()
				got(t, a, "2")
				require.EqualValues(t, 1, good.loads.Load())
				require.EqualValues(t, 1, a.Counters().RefreshErrors)
				require.Len(t, told, 1)
				require.Error(t, told[0])
			})
		})
	}
}

// A process that closes in the pause after a failed refresh hands it on at once.
func TestCloseHandsARefreshOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(2)
		bad, good := newOrigin("k", "1"), newOrigin("k", "2")
		a, b := open(t, c, bad, soft), open(t, c, good, soft)
		got(t, a, "1")
		time.Sleep(10 * time.Second)
		bad.hook = func(string) error { return errors.New("down") }
		got(t, a, "1")
		synctest.Wait()
		began := time.Now()
		require.NoError(t, a.Close())
		require.Zero(t, time.Since(began))
		got(t, b, "1")
		synctest.Wait()
		got(t, b, "2")
	})
}

// A refresher that died leaves its mark. Another refreshes the value within two leases, long before it
// ends, if it is read; nobody waits.
func TestARefresherDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		a, b := open(t, c, o, soft), open(t, c, o, soft)
		got(t, a, "1")
		o.set("k", "2")
		time.Sleep(10 * time.Second)
		dead, err := c.Lease(t.Context(), "k", item.LeaseOptions{Refresh: 50 * time.Second})
		require.NoError(t, err)
		require.Equal(t, item.LeaseRefresh, dead.State)
		began := time.Now()
		for o.loads.Load() == 1 {
			for _, l := range []*loader.Loader[string]{a, b} {
				if o.loads.Load() == 1 {
					got(t, l, "1")
					synctest.Wait() // two that find it dead at the same moment load it both: Force says so
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.GreaterOrEqual(t, time.Since(began), 11*time.Second, "a lease")
		require.LessOrEqual(t, time.Since(began), 23*time.Second)
		got(t, a, "2")
		got(t, b, "2")
		require.EqualValues(t, 2, o.loads.Load())
		_, err = c.Fill(t.Context(), dead, item.Item{Value: []byte("late")})
		require.ErrorIs(t, err, item.ErrLeaseLost)
	})
}

// With the mark of a dead refresher on a value past its TTL, whoever wants it waits no longer than the
// node keeps it.
func TestARefresherDiesPastTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "1")
		times := func(c *loader.Config[string]) { c.TTL, c.Freshness.IfError = 10*time.Second, time.Hour }
		l := open(t, c, o, times)
		got(t, l, "1")
		o.set("k", "2")
		time.Sleep(10 * time.Second)
		_, err := c.Lease(t.Context(), "k", item.LeaseOptions{Refresh: time.Hour})
		require.NoError(t, err)
		began := time.Now()
		herd(t, 100, "2", l)
		require.LessOrEqual(t, time.Since(began), 23*time.Second)
		require.EqualValues(t, 2, o.loads.Load())
	})
}

// The origin says that the key is gone: so it is in the cache.
func TestARefreshFindsNothing(t *testing.T) {
	for _, negative := range []time.Duration{0, -1} {
		synctest.Test(t, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "1")
			l := open(t, c, o, soft, func(c *loader.Config[string]) { c.NegativeTTL = negative })
			got(t, l, "1")
			require.NoError(t, o.remove(t.Context(), "k"))
			time.Sleep(10 * time.Second)
			got(t, l, "1")
			synctest.Wait()
			_, err := l.Get(t.Context(), "k")
			require.ErrorIs(t, err, loader.ErrNotFound)
		})
	}
}

// A value read often is refreshed before it is due: XFetch. Nobody ever waits for its load.
func TestEarlyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		o.slow = time.Second
		l := open(t, c, o, func(c *loader.Config[string]) { c.TTL = 20 * time.Second })
		herd(t, 1, "v", l)
		for range 20 * 60 * 100 { // 20 minutes
			time.Sleep(10 * time.Millisecond)
			got(t, l, "v")
		}
		n := l.Counters()
		require.Zero(t, n.Misses-1, "all but the first were hits")
		require.Zero(t, n.StaleHits)
		require.GreaterOrEqual(t, n.Loads, uint64(60), "at least one in a TTL")
		require.LessOrEqual(t, n.Loads, uint64(120))
	})
}
