package loader_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// The pauses between tries of one write grow from MinBackoff to MaxBackoff, at least half
// of each is kept, and after MaxAttempts the callback decides.
func TestBackoffAndDeadLetter(t *testing.T) {
	for _, verdict := range []loader.Verdict{loader.DropWrite, loader.KeepWrite} {
		t.Run(fmt.Sprint(verdict), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var at []time.Time
				var dead []loader.DeadWrite[string]
				c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
				o.onStore = func(string, string) error {
					mu.Lock()
					defer mu.Unlock()
					at = append(at, time.Now())
					return errOrigin
				}
				l := open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) {
					b.MinBackoff, b.MaxBackoff, b.MaxAttempts = 100*time.Millisecond, time.Second, 6
					b.DrainTimeout = -1
					b.DeadLetter = func(d loader.DeadWrite[string]) loader.Verdict {
						mu.Lock()
						defer mu.Unlock()
						dead = append(dead, d)
						return verdict
					}
				}))
				require.NoError(t, l.Put(t.Context(), "k", "new"))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				want := []time.Duration{100, 200, 400, 800, 1000}
				for i, w := range want {
					got := at[i+1].Sub(at[i])
					w *= time.Millisecond
					require.True(t, got >= w/2 && got <= w, "pause %d is %v", i, got)
				}
				require.Equal(t, "k", dead[0].Key)
				require.Equal(t, "new", dead[0].Value)
				require.Equal(t, []byte("new"), dead[0].Data)
				require.Equal(t, 6, dead[0].Attempts)
				require.ErrorIs(t, dead[0].Err, errOrigin)
				s := l.Counters().Back
				if verdict == loader.DropWrite {
					require.Len(t, at, 6)
					require.Zero(t, j.left())
					require.EqualValues(t, 1, s.Dropped)
					mu.Unlock()
					mustGet(t, l, "old") // the cache follows the origin
					mu.Lock()
					return
				}
				require.Greater(t, len(at), 6, "tried again")
				require.Equal(t, 1, j.left())
				mu.Unlock()
				mustGet(t, l, "new")
				require.ErrorIs(t, l.Close(), loader.ErrPending)
				mu.Lock()
			})
		})
	}
}

// What a process that died had accepted, its successor brings to the origin, and it is
// read from the first moment on; the key goes from the copies then, whatever they hold.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("a", "0", "b", "0", "gone", "0"), newMemJournal()
		down := breaks(o)
		l := open(t, c, o, writeBack(j, noDrain))
		for i := range 5 {
			require.NoError(t, l.Put(t.Context(), "a", fmt.Sprint(i)))
		}
		require.NoError(t, l.Put(t.Context(), "b", "1"))
		require.NoError(t, l.Delete(t.Context(), "gone"))
		die(t, l)
		o.set("gone", "0") // as if the delete had not got there
		j.recs["gone"] = loader.Record{Key: "gone", Deleted: true, Version: j.clock}
		c.Plant("a", []byte("what somebody left")) // corrupt, even

		l = open(t, c, o, writeBack(j))
		v, err := l.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "4", v)
		_, err = l.Get(t.Context(), "gone")
		require.ErrorIs(t, err, loader.ErrNotFound)
		require.EqualValues(t, 3, l.Counters().Back.Replayed)
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, map[string]string{"a": "4", "b": "1"}, o.rows)
		require.Zero(t, j.left())
		for i := range 2 {
			_, ok := c.Peek(i, "a")
			require.False(t, ok, "deleted from copy %d", i)
		}
		v, err = l.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "4", v)
	})
}

// A write that lay in the journal for too long is not let loose on the origin.
func TestMaxReplayAge(t *testing.T) {
	for _, c := range []struct {
		name    string
		age     time.Duration
		lay     time.Duration
		verdict loader.Verdict
		origin  string
		left    int
	}{
		{"young", 0, 23 * time.Hour, loader.DropWrite, "new", 0},
		{"old, dropped", 0, 25 * time.Hour, loader.DropWrite, "old", 0},
		{"old, kept", 0, 25 * time.Hour, loader.KeepWrite, "old", 1},
		{"shorter", time.Minute, 2 * time.Minute, loader.DropWrite, "old", 0},
		{"without limit", -1, 10000 * time.Hour, loader.DropWrite, "new", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cache, o, j := fakecache.New(1), newOrigin("k", "old"), newMemJournal()
				down := breaks(o)
				l := open(t, cache, o, writeBack(j, noDrain))
				require.NoError(t, l.Put(t.Context(), "k", "new"))
				die(t, l)
				down.end()
				time.Sleep(c.lay)
				var dead atomic.Int64
				l = open(t, cache, o, writeBack(j, func(b *loader.BackConfig[string]) {
					b.MaxReplayAge = c.age
					b.DeadLetter = func(d loader.DeadWrite[string]) loader.Verdict {
						dead.Add(1)
						if !errors.Is(d.Err, loader.ErrTooOld) || d.Value != "new" {
							panic(d)
						}
						return c.verdict
					}
				}))
				require.NoError(t, l.Flush(t.Context()))
				require.Equal(t, c.origin, o.rows["k"])
				require.Equal(t, c.left, j.left())
				require.Equal(t, c.origin == "old", dead.Load() == 1)
				mustGet(t, l, c.origin)
			})
		})
	}
}

// The origin keeps something newer: the write is dropped, and the cache follows the origin.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
		l := open(t, c, o, writeBack(j), func(cfg *loader.Config[string]) {
			cfg.Store = func(ctx context.Context, key, v string) error {
				ver, ok := loader.VersionOf(ctx)
				if !ok || ver.Seq != 1 || ver.Writer != 7 || !ver.Time.Equal(time.Now()) {
					return fmt.Errorf("version %v, %v", ver, ok)
				}
				o.set(key, "newer")
				return fmt.Errorf("row: %w", loader.ErrSuperseded)
			}
		})
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		require.NoError(t, l.Flush(t.Context()))
		require.Zero(t, j.left())
		s := l.Counters().Back
		require.EqualValues(t, 1, s.Refused)
		require.Zero(t, s.Failures+s.Flushed)
		mustGet(t, l, "newer")
	})
}

// Writes that wait together go to the origin together; a batch that fails is stored one by
// one, and one bad row holds nobody up.
func TestStoreMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, j := newOrigin(), newMemJournal()
		var sizes []int
		wait := make(chan bool)
		l := open(t, fakecache.New(1), o, writeBack(j, func(b *loader.BackConfig[string]) {
			b.Workers, b.MaxBatch, b.DrainTimeout = 1, 10, -1
			b.StoreMany = func(ctx context.Context, ws []loader.Write[string]) error {
				sizes = append(sizes, len(ws))
				for _, w := range ws {
					if w.Value == "bad" {
						return errOrigin
					}
				}
				for _, w := range ws {
					if w.Version.Seq == 0 {
						return errors.New("no version")
					}
					o.set(w.Key, w.Value)
				}
				return nil
			}
		}))
		o.onStore = func(k, v string) error {
			if k == "first" {
				<-wait
			}
			if v == "bad" {
				return errOrigin
			}
			return nil
		}
		require.NoError(t, l.Put(t.Context(), "first", "1"))
		synctest.Wait()
		for i := range 24 {
			v := "good"
			if i == 15 {
				v = "bad"
			}
			require.NoError(t, l.Put(t.Context(), fmt.Sprint(i), v))
		}
		wait <- true
		synctest.Wait()
		require.Equal(t, []int{10, 10, 4}, sizes)
		require.Len(t, o.rows, 24)
		require.Equal(t, 1, j.left())
	})
}

// A Store that panics or exits fails like any other, and the worker lives.
func TestStoreThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		n := 0
		o.onStore = func(string, string) error {
			switch n++; n {
			case 1:
				panic("bug")
			case 2:
				runtime.Goexit()
			}
			return nil
		}
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) { b.Workers = 1 }))
		require.NoError(t, l.Put(t.Context(), "k", "v"))
		time.Sleep(time.Second)
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, "v", o.rows["k"])
		require.EqualValues(t, 2, l.Counters().Back.Failures)
	})
}

// Close brings to the origin what it can in its time, and says what is left.
func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ok := range []bool{true, false} {
			o, j := newOrigin(), newMemJournal()
			o.onStore = func(k, _ string) error {
				time.Sleep(time.Second)
				if !ok && k == "3" {
					return errOrigin
				}
				return nil
			}
			l := open(t, fakecache.New(1), o, writeBack(j, func(b *loader.BackConfig[string]) { b.Workers = 1 }))
			for i := range 5 {
				require.NoError(t, l.Put(t.Context(), fmt.Sprint(i), "v"))
			}
			began := time.Now()
			err := l.Close()
			if ok {
				require.NoError(t, err)
				require.Equal(t, 5*time.Second, time.Since(began))
				require.Zero(t, j.left())
				continue
			}
			require.ErrorIs(t, err, loader.ErrPending)
			require.Equal(t, err, l.Close())
			require.GreaterOrEqual(t, time.Since(began), 10*time.Second)
			require.LessOrEqual(t, time.Since(began), 11*time.Second)
			require.Equal(t, 1, j.left())
		}
	})
}

// Flush waits for what was accepted before it and not for what comes later.
func TestFlushIsForWhatWasBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		down := breaks(o)
		step := make(chan bool)
		o.onStore = func(k, _ string) error {
			if k == "later" {
				<-step
			}
			return down.err()
		}
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal()))
		require.NoError(t, l.Put(t.Context(), "k", "v"))
		synctest.Wait()
		flushed := make(chan error)
		go func() { flushed <- l.Flush(t.Context()) }()
		synctest.Wait()
		require.NoError(t, l.Put(t.Context(), "later", "v"))
		down.end()
		require.NoError(t, <-flushed)
		require.Equal(t, "v", o.rows["k"])
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := l.Flush(ctx)
		require.ErrorIs(t, err, loader.ErrPending)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		step <- true
		require.NoError(t, l.Flush(t.Context()))
	})
}

func TestNewRefusesBadBackConfigs(t *testing.T) {
	for field, mod := range map[string]func(*loader.Config[string]){
		"Config.Back.Journal is nil": func(c *loader.Config[string]) { c.Back.Journal = nil },
		"Config.Back is set, but for its Journal": func(c *loader.Config[string]) {
			c.Write, c.Back = loader.WriteAround, loader.BackConfig[string]{Workers: 4}
		},
		"Config.Store is nil":            func(c *loader.Config[string]) { c.Store = nil },
		"Config.Back.MaxPending is":      func(c *loader.Config[string]) { c.Back.MaxPending = -1 },
		"Config.Back.MaxPendingBytes is": func(c *loader.Config[string]) { c.Back.MaxPendingBytes = -1 },
		"Config.Back.Workers is":         func(c *loader.Config[string]) { c.Back.Workers = -1 },
		"Config.Back.MaxBatch is":        func(c *loader.Config[string]) { c.Back.MaxBatch = -1 },
		"Config.Back.MaxAttempts is":     func(c *loader.Config[string]) { c.Back.MaxAttempts = -1 },
		"Config.Back.FlushTimeout is":    func(c *loader.Config[string]) { c.Back.FlushTimeout = -1 },
		"Config.Back.MinBackoff is":      func(c *loader.Config[string]) { c.Back.MinBackoff = -1 },
		"Config.Back.MaxBackoff is":      func(c *loader.Config[string]) { c.Back.MaxBackoff = -1 },
		"Config.Back.MaxBackoff (1ns)":   func(c *loader.Config[string]) { c.Back.MaxBackoff = 1 },
		"does not begin with Config.Prefix": func(c *loader.Config[string]) {
			j := newMemJournal()
			_ = j.Append([]loader.Record{{Key: "users:1"}})
			c.Back.Journal, c.Prefix = j, "orders:"
		},
	} {
		cfg := loader.Config[string]{
			Load: newOrigin().load, Store: newOrigin().store, Write: loader.WriteBack,
			Back: loader.BackConfig[string]{Journal: newMemJournal()},
		}
		mod(&cfg)
		_, err := loader.New(fakecache.New(1), cfg)
		require.ErrorContains(t, err, field)
	}
}
