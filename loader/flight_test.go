package loader_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// herd calls Get from n goroutines at once and requires the same answer from all.
func herd(t *testing.T, n int, want string, ls ...*loader.Loader[string]) {
	t.Helper()
	gate := make(chan struct{})
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-gate
			v, err := ls[i%len(ls)].Get(context.Background(), "k")
			if err == nil && v != want {
				err = errors.New("got " + v)
			}
			errs <- err
		})
	}
	close(gate)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

func TestHerdLoadsOnce(t *testing.T) {
	for range scaled(20) {
		o := newOrigin("k", "v")
		l := open(t, fakecache.New(2), o)
		herd(t, 1000, "v", l)
		require.EqualValues(t, 1, o.loads.Load())
	}
}

// The same with a load of 50 ms: whoever comes while it runs asks the cache nothing.
func TestHerdDuringSlowLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		o.slow = 50 * time.Millisecond
		l := open(t, c, o)
		go func() { _, _ = l.Get(t.Context(), "k") }()
		synctest.Wait()
		require.Equal(t, 1, c.Calls("Lease"))
		herd(t, 1000, "v", l)
		require.EqualValues(t, 1, o.loads.Load())
		require.Equal(t, 1, c.Calls("Lease"))
		require.EqualValues(t, 1000, l.Counters().Waits)
	})
}

// Two loaders on one cache are two processes: one load between them.
func TestTwoProcessesLoadOnce(t *testing.T) {
	for range scaled(20) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		herd(t, 1000, "v", open(t, c, o), open(t, c, o))
		require.EqualValues(t, 1, o.loads.Load())
	}
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		o.slow = 300 * time.Millisecond
		began := time.Now()
		herd(t, 1000, "v", open(t, c, o), open(t, c, o))
		require.EqualValues(t, 1, o.loads.Load())
		require.Less(t, time.Since(began), 400*time.Millisecond, "load + 100 ms")
		require.Less(t, c.Calls("Lease"), 1000+20, "one poller per process")
	})
}

func TestLoadFaultsReachEveryWaiter(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		fault func() error
		check func(t *testing.T, err error)
	}{
		"error": {func() error { return boom }, func(t *testing.T, err error) {
			require.Equal(t, boom, err)
		}},
		"panic": {func() error { panic(boom) }, func(t *testing.T, err error) {
			var p *loader.PanicError
			require.ErrorAs(t, err, &p)
			require.Contains(t, string(p.Stack), "flight_test.go")
			require.ErrorIs(t, err, boom)
		}},
		"panic nil": {func() error { panic(nil) }, func(t *testing.T, err error) {
			var p *loader.PanicError
			require.ErrorAs(t, err, &p)
		}},
		"goexit": {func() error { runtime.Goexit(); return nil }, func(t *testing.T, err error) {
			require.ErrorIs(t, err, loader.ErrLoadExited)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "v")
				o.hook = func(string) error { time.Sleep(50 * time.Millisecond); return tc.fault() }
				l := open(t, c, o)
				errs := make(chan error, 100)
				for range 100 {
					go func() { _, err := l.Get(t.Context(), "k"); errs <- err }()
				}
				for range 100 {
					tc.check(t, <-errs)
				}
				require.EqualValues(t, 1, o.loads.Load())
				require.EqualValues(t, 1, l.Counters().LoadErrors)
				o.hook = nil
				began := time.Now()
				v, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, "v", v)
				require.Zero(t, time.Since(began), "the lease was handed back at once")
			})
		})
	}
}

// The first caller leaves; the load goes on, serves the others and fills the cache.
func TestCancelledFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type tag struct{}
		c, o := fakecache.New(2), newOrigin("k", "v")
		o.slow = time.Second
		var carried any
		l := open(t, c, o, func(c *loader.Config[string]) {
			c.Load = func(ctx context.Context, key string) (string, error) {
				carried = ctx.Value(tag{})
				return o.load(ctx, key)
			}
		})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), tag{}, "kept"))
		left := make(chan error)
		go func() { _, err := l.Get(ctx, "k"); left <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		other := open(t, c, o) // another process
		began := time.Now()
		herd(t, 100, "v", l, other)
		require.LessOrEqual(t, time.Since(began), time.Second+100*time.Millisecond)
		require.EqualValues(t, 1, o.loads.Load())
		require.Equal(t, "kept", carried, "the load has the values of its first caller's context")
	})
}

// Waiters obey their own contexts, and leaving changes nothing for the others.
func TestWaitersHaveTheirOwnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "v")
		o.slow = time.Second
		l := open(t, fakecache.New(2), o)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				d := time.Duration(i+1) * 100 * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), d-time.Millisecond)
				defer cancel()
				began := time.Now()
				v, err := l.Get(ctx, "k")
				if d <= time.Second {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, d-time.Millisecond, time.Since(began))
				} else {
					require.NoError(t, err)
					require.Equal(t, "v", v)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, o.loads.Load())
	})
}

func TestLoadTimeout(t *testing.T) {
	for name, obeys := range map[string]bool{"obeys its context": true, "ignores its context": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "v")
				stuck := make(chan struct{})
				l := open(t, c, o, func(c *loader.Config[string]) {
					c.LoadTimeout = 3 * time.Second
					c.Load = func(ctx context.Context, _ string) (string, error) {
						if !obeys {
							<-stuck
							return "late", nil
						}
						<-ctx.Done()
						return "", ctx.Err()
					}
				})
				began := time.Now()
				_, err := l.Get(t.Context(), "k")
				require.ErrorIs(t, err, loader.ErrLoadTimeout)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 3*time.Second, time.Since(began))
				_, ok := c.Peek(0, "k")
				require.False(t, ok, "the lease was handed back")
				close(stuck)
			})
		})
	}
}

// MaxLoads bounds what the origin sees, also without a cache; who gets no turn within
// LoadTimeout is told so.
func TestMaxLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin()
		c.SetDown(0, true)
		var mu sync.Mutex
		running, most := 0, 0
		l := open(t, c, o, func(c *loader.Config[string]) {
			c.MaxLoads, c.LoadTimeout = 4, 4500*time.Millisecond
			c.Load = func(_ context.Context, key string) (string, error) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				return key, nil
			}
		})
		busy := make(chan error, 100)
		for i := range 30 {
			go func() { _, err := l.Get(t.Context(), string(rune('a'+i))); busy <- err }()
		}
		shed := 0
		for range 30 {
			if err := <-busy; errors.Is(err, loader.ErrOriginBusy) {
				require.ErrorIs(t, err, loader.ErrLoadTimeout)
				shed++
			}
		}
		require.NoError(t, l.Close()) // the last loads outlive their callers
		require.Equal(t, 4, most)
		require.Equal(t, 10, shed, "4 begin each second, the last at 4 s")
		require.EqualValues(t, 10, l.Counters().Shed)
		require.EqualValues(t, 20, l.Counters().Loads)
	})
}

// Close lets a running load end and fill, and wakes those who only wait.
func TestCloseWaitsForLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		o.slow = time.Second
		l, waits := open(t, c, o), open(t, c, o)
		got := make(chan error, 2)
		go func() { _, err := l.Get(t.Context(), "k"); got <- err }()
		synctest.Wait()
		go func() { _, err := waits.Get(t.Context(), "k"); got <- err }()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, waits.Close())
		require.ErrorIs(t, <-got, loader.ErrClosed)
		require.Zero(t, time.Since(began))
		require.NoError(t, l.Close())
		require.NoError(t, <-got)
		require.Equal(t, time.Second, time.Since(began))
		e, ok := c.Peek(1, "k")
		require.True(t, ok && !e.Stub)
	})
}

// Close waits for a Put that has begun, so that the cache hears of it.
func TestCloseWaitsForPuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		o.onStore = func(string, string) error { time.Sleep(time.Second); return nil }
		l := open(t, c, o)
		_, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		put := make(chan error, 1)
		go func() { put <- l.Put(t.Context(), "k", "new") }()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.NoError(t, <-put)
		_, ok := c.Peek(0, "k")
		require.False(t, ok)
	})
}
