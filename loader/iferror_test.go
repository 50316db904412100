package loader_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

var errDown = errors.New("origin down")

func ifError(c *loader.Config[string]) {
	c.TTL, c.Freshness.IfError = 10*time.Second, time.Minute
	c.LoadTimeout = 5 * time.Second
}

// Past its TTL a value is returned when its load fails, hangs, panics or is shed, to all
// who wait, until IfError has passed too; and not when the origin has the key no more.
func TestStaleIfError(t *testing.T) {
	faults := map[string]func() error{
		"timeout": func() error { time.Sleep(time.Hour); return nil },
	}
	for name, f := range loadFaults {
		faults[name] = f
	}
	for _, tier0 := range []bool{false, true} {
		for name, fault := range faults {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, o := fakecache.New(2), newOrigin("k", "1")
					if tier0 {
						c.SetTier0()
					}
					var told atomic.Int64
					var works atomic.Bool
					l := open(t, c, o, ifError, func(c *loader.Config[string]) {
						c.Hooks.Stale = func(key string, err error) {
							require.Equal(t, "k", key)
							require.Error(t, err)
							told.Add(1)
						}
					})
					got(t, l, "1")
					o.set("k", "2")
					o.hook = func(string) error {
						if works.Load() {
							return nil
						}
						return fault()
					}
					time.Sleep(10 * time.Second)
					herd(t, 100, "1", l)
					require.NotZero(t, told.Load())
					require.EqualValues(t, told.Load(), l.Counters().StaleOnError)
					require.LessOrEqual(t, o.loads.Load(), 1+told.Load())
					time.Sleep(time.Minute)
					_, err := l.Get(t.Context(), "k")
					require.Error(t, err, "too old")
					works.Store(true)
					time.Sleep(time.Second)
					v, err := l.Get(t.Context(), "k")
					require.NoError(t, err)
					require.Equal(t, "2", v)
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "1")
		l := open(t, fakecache.New(2), o, ifError)
		got(t, l, "1")
		require.NoError(t, o.remove(t.Context(), "k"))
		time.Sleep(10 * time.Second)
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		require.Zero(t, l.Counters().StaleOnError)
	})
}

// While the origin fails, the value is refreshed as soon as it works again.
func TestStaleIfErrorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "1")
		l := open(t, fakecache.New(2), o, ifError)
		got(t, l, "1")
		o.set("k", "2")
		o.hook = func(string) error { return errDown }
		time.Sleep(10 * time.Second)
		for range 30 {
			got(t, l, "1")
			time.Sleep(time.Second)
		}
		o.hook = nil
		got(t, l, "2")
		require.EqualValues(t, 30, l.Counters().StaleOnError)
	})
}

// A reader that joins a failing load after another process's Put has returned does not get
// the value from before it.
func TestStaleIfErrorIsNoOlderThanAPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		l, foreign := open(t, c, o, ifError), open(t, c, o, ifError)
		got(t, l, "old")
		o.hook = func(string) error { time.Sleep(time.Second); return errDown }
		time.Sleep(10 * time.Second)
		first, late := make(chan error, 1), make(chan string, 1)
		go func() { _, err := l.Get(t.Context(), "k"); first <- err }()
		synctest.Wait() // the load is under way and the old value is still there
		require.NoError(t, foreign.Put(t.Context(), "k", "new"))
		go func() {
			v, err := l.Get(t.Context(), "k")
			if err != nil {
				v = err.Error()
			}
			late <- v
		}()
		require.ErrorIs(t, <-first, errDown)
		require.Equal(t, errDown.Error(), <-late)
	})
}

// A load that hangs is overtaken by a second one, if there is a slot for it; there is no third.
func TestASecondLeader(t *testing.T) {
	second := func(c *loader.Config[string]) {
		c.Origin.SecondAfter, c.LoadTimeout = time.Second, 5*time.Second
	}
	for name, tc := range map[string]struct {
		slots int
		calls []func(ctx context.Context) error // what the first, second … call does
		want  error
		took  time.Duration
		loads uint64
	}{
		"the second succeeds": {2, []func(context.Context) error{hang, succeed}, nil, time.Second, 2},
		"the first succeeds":  {2, []func(context.Context) error{after(3 * time.Second), hang}, nil, 3 * time.Second, 2},
		"fast":                {2, []func(context.Context) error{after(999 * time.Millisecond)}, nil, 999 * time.Millisecond, 1},
		"the second fails":    {2, []func(context.Context) error{after(3 * time.Second), fail}, nil, 3 * time.Second, 2},
		"both fail":           {2, []func(context.Context) error{fails(3 * time.Second), fail}, errDown, 3 * time.Second, 2},
		"both hang":           {2, []func(context.Context) error{hang, hang}, loader.ErrLoadTimeout, 5 * time.Second, 2},
		"no slot":             {1, []func(context.Context) error{after(3 * time.Second)}, nil, 3 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := make(chan func(context.Context) error, len(tc.calls))
				for _, c := range tc.calls {
					calls <- c
				}
				l := open(t, fakecache.New(2), newOrigin(), second, func(c *loader.Config[string]) {
					c.MaxLoads = tc.slots
					c.Load = func(ctx context.Context, _ string) (string, error) { return "v", (<-calls)(ctx) }
				})
				began := time.Now()
				_, err := l.Get(t.Context(), "k")
				require.ErrorIs(t, err, tc.want)
				require.Equal(t, tc.took, time.Since(began))
				require.NoError(t, l.Close())
				require.Equal(t, tc.loads, l.Counters().Loads)
				require.Equal(t, tc.loads-1, l.Counters().Seconds)
			})
		})
	}
	for _, d := range []time.Duration{-1, 5 * time.Second, time.Minute} {
		_, err := loader.New(fakecache.New(1), loader.Config[string]{
			Load: newOrigin().load, LoadTimeout: 5 * time.Second, Origin: loader.Origin{SecondAfter: d},
		})
		require.ErrorContains(t, err, "loader.Config.Origin.SecondAfter")
	}
}

func succeed(context.Context) error  { return nil }
func fail(context.Context) error     { return errDown }
func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func after(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

func fails(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return errDown }
}

// A loader's own IfError bounds what it serves, however long another one, before a deploy perhaps, told the nodes to keep it.
func TestStaleIfErrorIsBoundedByTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		with := func(ifError time.Duration) *loader.Loader[string] {
			return open(t, c, o, func(c *loader.Config[string]) {
				c.TTL, c.Freshness = 10*time.Second, loader.Freshness{IfError: ifError, Beta: -1}
			})
		}
		long, short := with(time.Hour), with(10*time.Second)
		mustGet(t, long, "v")
		o.hook = func(string) error { return errOrigin }
		time.Sleep(15 * time.Second)
		mustGet(t, short, "v")
		time.Sleep(10 * time.Second)
		_, err := short.Get(t.Context(), "k")
		require.ErrorIs(t, err, errOrigin)
		mustGet(t, long, "v")
	})
}

// An absence past its time is no value to be served while the origin fails.
func TestStaleIfErrorServesNoAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		l := open(t, c, o, func(c *loader.Config[string]) {
			c.NegativeTTL, c.Freshness = 100*time.Millisecond, loader.Freshness{IfError: time.Hour}
		})
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		o.hook = func(string) error { return errOrigin }
		time.Sleep(200 * time.Millisecond) // the node counts seconds, and has it still
		_, err = l.Get(t.Context(), "k")
		require.ErrorIs(t, err, errOrigin)
	})
}

// Who looks for an old value after its load has failed, and finds that it was deleted meanwhile, does not keep the right to
// load that it got by looking.
func TestStaleIfErrorKeepsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "v")
		mod := func(c *loader.Config[string]) {
			c.TTL, c.Freshness = 10*time.Second, loader.Freshness{IfError: time.Hour, Beta: -1}
		}
		l, other := open(t, c, o, mod), open(t, c, o, mod)
		mustGet(t, l, "v")
		time.Sleep(15 * time.Second)
		o.hook = func(string) error {
			o.hook = nil
			require.NoError(t, other.Invalidate(t.Context(), "k"))
			return errOrigin
		}
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, errOrigin)
		begun := time.Now()
		mustGet(t, other, "v")
		require.Zero(t, time.Since(begun))
	})
}

// The pause behind a refresh that failed ends with its value: from then on somebody waits for a load, which may go well, or fail and so lead to the old value.
func TestAFailedRefreshKeepsNobodyWaiting(t *testing.T) {
	for name, mod := range map[string]func(*loader.Config[string]){
		"soft":  func(c *loader.Config[string]) { c.Freshness.Soft = 9900 * time.Millisecond },
		"early": func(c *loader.Config[string]) { c.Freshness.Beta = 100 }, // what the first load took is 100 ms
	} {
		for _, ends := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(2), newOrigin("k", "1")
				o.slow = 100 * time.Millisecond
				a, b := open(t, c, o, ifError, mod), open(t, c, o, ifError, mod)
				mustGet(t, a, "1")
				o.slow = 0
				var fails atomic.Int64
				o.hook = func(string) error {
					if ends && fails.Load() > 0 {
						return nil
					}
					fails.Add(1)
					return errDown
				}
				want := "1"
				if ends {
					o.set("k", "2")
					want = "2"
				}
				time.Sleep(9950 * time.Millisecond)
				for range 1000 { // until the dice say so
					if mustGet(t, a, "1"); fails.Load() > 0 {
						break
					}
				}
				synctest.Wait()
				require.EqualValues(t, 1, a.Counters().RefreshErrors, name)
				time.Sleep(60 * time.Millisecond)
				began := time.Now()
				mustGet(t, b, want)
				mustGet(t, a, want)
				require.Less(t, time.Since(began), 200*time.Millisecond, name)
			})
		}
	}
}
