package loader_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// slowly has every request to a copy take d.
func slowly(c *fakecache.Cache, d time.Duration) {
	c.Step = func(string, int) error { time.Sleep(d); return nil }
}

// readers are n Gets of k under way. answers are what they have come to, and when.
type readers struct {
	l       *loader.Loader[string]
	answers chan answered
	n       int
}

type answered struct {
	v   string
	err error
	at  time.Time
}

func (r *readers) start(ctx context.Context, n int) {
	r.n += n
	for range n {
		go func() {
			v, err := r.l.Get(ctx, "k")
			r.answers <- answered{v, err, time.Now()}
		}()
	}
	synctest.Wait()
}

func (r *readers) all(t *testing.T, want string) (last time.Time) {
	t.Helper()
	for ; r.n > 0; r.n-- {
		a := <-r.answers
		require.NoError(t, a.err)
		require.Equal(t, want, a.v)
		last = a.at
	}
	return last
}

func newReaders(t *testing.T, c loader.Cache, o *origin) *readers {
	return &readers{l: open(t, c, o), answers: make(chan answered, 1000)}
}

// ofACached are readers through c of what another process has loaded into f, whose nodes take a millisecond. asked is how many leases
// have been asked for.
func ofACached(t *testing.T, c loader.Cache, f *fakecache.Cache) (asked int, r *readers) {
	o := newOrigin("k", "v")
	mustGet(t, open(t, f, o), "v")
	slowly(f, time.Millisecond)
	return f.Calls("Lease"), newReaders(t, c, o)
}

// Many want a key at one moment that a node has, or nobody: one of them asks, the others have what it
// was told, or wait for its load.
func TestOneAsksForAllWhoCome(t *testing.T) {
	for _, cached := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, o := newNearCache(t, fakecache.New(1), time.Second), newOrigin("k", "v")
			o.slow = time.Millisecond
			if cached {
				mustGet(t, open(t, c.Cache, o), "v") // another process
			}
			slowly(c.Cache, time.Millisecond)
			asked, r := c.Calls("Lease"), newReaders(t, c, o)
			began := time.Now()
			r.start(t.Context(), 100)
			time.Sleep(time.Millisecond / 2)
			r.start(t.Context(), 100)
			last := r.all(t, "v")
			require.Equal(t, asked+1, c.Calls("Lease"))
			k := r.l.Counters()
			if cached {
				require.Equal(t, time.Millisecond, last.Sub(began), "nobody takes longer than if each had asked")
				require.EqualValues(t, 1, k.NodeHits)
				require.EqualValues(t, 199, k.NearHits)
			} else {
				require.EqualValues(t, 200, k.Misses)
				require.EqualValues(t, 199, k.Waits)
			}
			require.EqualValues(t, 1, o.loads.Load())
		})
	}
}

// What turns out not to be held is asked for by each, and nobody waits for others more than once; for a while nobody waits at all then.
func TestWhoWaitedInVainAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNearCache(t, fakecache.New(1), time.Second)
		asked, r := ofACached(t, c, c.Cache)
		began := time.Now()
		r.start(t.Context(), 10)
		c.drop("k") // moves the generation: what comes back is not held
		require.Equal(t, 2*time.Millisecond, r.all(t, "v").Sub(began))
		require.Equal(t, asked+10, c.Calls("Lease"))
	})
	synctest.Test(t, func(t *testing.T) {
		c := boastful{fakecache.New(1), true}
		asked, r := ofACached(t, c, c.Cache)
		began := time.Now()
		r.start(t.Context(), 10)
		require.Equal(t, 2*time.Millisecond, r.all(t, "v").Sub(began))
		require.Equal(t, asked+10, c.Calls("Lease"))
		began = time.Now()
		r.start(t.Context(), 64)
		require.Equal(t, time.Millisecond, r.all(t, "v").Sub(began))
		began = time.Now()
		r.start(t.Context(), 2)
		require.Equal(t, 2*time.Millisecond, r.all(t, "v").Sub(began), "it tries again")
	})
}

// Nobody waits for what the near-cache will not hold, nor who keeps no decoded values and has no way to look.
func TestNobodyWaitsForWhatIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := boastful{fakecache.New(1), false}
		asked, r := ofACached(t, c, c.Cache)
		began := time.Now()
		r.start(t.Context(), 10)
		require.Equal(t, time.Millisecond, r.all(t, "v").Sub(began))
		require.Equal(t, asked+10, c.Calls("Lease"))
	})
	synctest.Test(t, func(t *testing.T) {
		c := newNearCache(t, fakecache.New(1), time.Second)
		l, err := loader.New[[]string](c, loader.Config[[]string]{Load: func(context.Context, string) ([]string, error) { return []string{"v"}, nil }})
		require.NoError(t, err)
		defer l.Close()
		_, err = l.Get(t.Context(), "k")
		require.NoError(t, err)
		slowly(c.Cache, time.Millisecond)
		asked := c.Calls("Lease")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				v, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, []string{"v"}, v)
			})
		}
		wg.Wait()
		require.Equal(t, asked+10, c.Calls("Lease"))
	})
}

// A request that fails is waited for once: who finds neither its value nor its flight asks at once.
func TestAFailedRequestIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := newNearCache(t, fakecache.New(1), time.Second), newOrigin("k", "v")
		c.Fail = func(method string) error {
			if method == "Lease" {
				time.Sleep(time.Second)
				return errors.New("away")
			}
			return nil
		}
		r := &readers{l: open(t, c, o, func(cfg *loader.Config[string]) { cfg.FailClosed = true }), answers: make(chan answered, 100)}
		began := time.Now()
		r.start(t.Context(), 50)
		for range 50 {
			a := <-r.answers
			require.ErrorIs(t, a.err, loader.ErrCacheDown)
			require.LessOrEqual(t, a.at.Sub(began), 2*time.Second)
		}
	})
}

// boastful holds nothing, and may say it does.
type boastful struct {
	*fakecache.Cache
	says bool
}

func (c boastful) HoldsNear(string) bool { return c.says }

func (boastful) ReadNear(string) (item.Near, bool) { return item.Near{}, false }

// A write of this process that comes while one asks is seen by who comes after it, though that one waits for
// the answer of before.
func TestWhoComesAfterAWriteIsNotToldWhatWasBefore(t *testing.T) {
	for _, policy := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		synctest.Test(t, func(t *testing.T) {
			c, o := newNearCache(t, fakecache.New(1), time.Hour), newOrigin("k", "old")
			mustGet(t, open(t, c.Cache, o), "old")
			r := newReaders(t, c, o)
			// The request is answered before the write, and the answer takes its time.
			held := make(chan struct{})
			slow := true
			lag := belated{c, func() {
				if slow {
					slow = false
					<-held
				}
			}}
			r.l = open(t, lag, o)
			r.start(t.Context(), 1)
			require.NoError(t, r.l.PutWith(t.Context(), "k", "new", loader.WriteOptions{Policy: policy}))
			after := &readers{l: r.l, answers: make(chan answered, 10)}
			after.start(t.Context(), 10)
			close(held)
			after.all(t, "new")
			r.all(t, "old") // it began before the write
		})
	}
}

// belated brings a lease's answer late.
type belated struct {
	nearCache
	lag func()
}

func (c belated) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	h, sent := xxhash.Sum64String(key), time.Now()
	gen := c.near.Generation(h)
	l, err := c.Cache.Lease(ctx, key, o)
	c.lag()
	if err == nil && l.State == item.LeaseHit {
		c.near.Put(h, key, hotkey.Value{Bytes: l.Item.Value, TTL: l.Item.TTL}, gen, sent)
	}
	return l, err
}

// Who waits keeps to its own deadline, and who asks may leave: the others get on.
func TestWaitersForAnAskerAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := newNearCache(t, fakecache.New(1), time.Second), newOrigin("k", "v")
		slowly(c.Cache, 10*time.Millisecond)
		asker, waiter := newReaders(t, c, o), (*readers)(nil)
		ctx, leave := context.WithCancel(t.Context())
		asker.start(ctx, 1)
		waiter = &readers{l: asker.l, answers: make(chan answered, 10)}
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		waiter.start(short, 1)
		a := <-waiter.answers
		require.ErrorIs(t, a.err, context.DeadlineExceeded)
		require.Equal(t, time.Millisecond, a.at.Sub(began))
		waiter.n = 0
		waiter.start(t.Context(), 5)
		leave()
		a = <-asker.answers
		require.ErrorIs(t, a.err, context.Canceled)
		waiter.all(t, "v")
		require.EqualValues(t, 1, o.loads.Load())
	})
}

// A cache whose Lease panics takes its caller down, and nobody who waits with it.
func TestAPanickingAskerKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := newNearCache(t, fakecache.New(1), time.Second), newOrigin("k", "v")
		slowly(c.Cache, time.Millisecond)
		first := true
		c.Fail = func(method string) error {
			if method == "Lease" && first {
				first = false
				time.Sleep(time.Millisecond)
				panic("a cache's fault")
			}
			return nil
		}
		r := newReaders(t, c, o)
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = r.l.Get(t.Context(), "k")
		}()
		synctest.Wait()
		r.start(t.Context(), 10)
		require.NotNil(t, <-panicked)
		r.all(t, "v")
		require.EqualValues(t, 1, o.loads.Load())
	})
}

// A failed request brings one load for all, and a Strong loader has everybody ask.
func TestAskersWhoFailAndStrongOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := newNearCache(t, fakecache.New(1), time.Second), newOrigin("k", "v")
		o.slow = time.Millisecond
		c.Fail = func(method string) error {
			if method == "Lease" {
				time.Sleep(time.Millisecond)
				return errors.New("away")
			}
			return nil
		}
		r := newReaders(t, c, o)
		r.start(t.Context(), 10)
		r.all(t, "v")
		require.EqualValues(t, 1, o.loads.Load())
		require.Equal(t, 1, c.Calls("Lease"))
	})
	synctest.Test(t, func(t *testing.T) {
		c, o := newNearCache(t, fakecache.New(1), time.Second), newOrigin("k", "v")
		mustGet(t, open(t, c.Cache, o), "v")
		slowly(c.Cache, time.Millisecond)
		l, err := loader.New[string](c, loader.Config[string]{Codec: loader.String{}, Load: o.load, Store: o.store, Write: loader.WriteThrough, Consistency: loader.Strong})
		require.NoError(t, err)
		defer l.Close()
		asked, r := c.Calls("Lease"), &readers{l: l, answers: make(chan answered, 10)}
		r.start(t.Context(), 10)
		r.all(t, "v")
		require.Equal(t, asked+10, c.Calls("Lease"))
	})
}
