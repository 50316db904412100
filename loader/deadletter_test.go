package loader_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/loader/journal"
)

// A DeadLetter that panics or exits has not said that a write may go: it is kept, and tried again.
func TestADeadLetterThatPanicsKeeps(t *testing.T) {
	for _, ends := range []func(){func() { panic("bug") }, runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			o, j := newOrigin("k", "old"), newMemJournal()
			down := breaks(o)
			l := open(t, fakecache.New(1), o, writeBack(j, func(b *loader.BackConfig[string]) {
				b.MaxAttempts = 1
				b.DeadLetter = func(loader.DeadWrite[string]) loader.Verdict { ends(); return loader.DropWrite }
			}))
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			synctest.Wait()
			require.NotZero(t, l.Counters().Back.Dead)
			require.Equal(t, 1, j.left())
			down.end()
			require.NoError(t, l.Flush(t.Context()))
			require.Equal(t, "new", o.rows["k"])
			require.Zero(t, l.Counters().Back.Dropped)
		})
	}
}

// forgetful writes what it cannot read.
type forgetful struct{ loader.String }

func (forgetful) Decode([]byte) (string, error) { return "", errors.New("what was that?") }

// A write that waits for the next start is not what anybody reads until then: the copies lose it.
func TestAParkedWriteLeavesTheCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
		l := open(t, c, o, writeBack(j), func(c *loader.Config[string]) { c.Codec = forgetful{} })
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		require.NoError(t, l.Flush(t.Context()))
		require.EqualValues(t, 1, l.Counters().Back.Parked)
		require.Equal(t, 1, j.left())
		for i := range 2 {
			_, ok := c.Peek(i, "k")
			require.False(t, ok, "copy %d", i)
		}
		require.NoError(t, l.Close(), "it is not this process's any more")
	})
}

// A cache that is out of reach when a write is left to the next start is told later: others must not read until the TTL what the
// origin never got. Meanwhile this process goes on as if the write were not there.
func TestAParkedWriteLeavesTheCopiesLate(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
			var down atomic.Bool
			c.Fail = func(string) error {
				if down.Load() {
					return errors.New("cache is down")
				}
				return nil
			}
			taken := make(chan struct{})
			l := open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) {
				b.DeadLetter = func(loader.DeadWrite[string]) loader.Verdict {
					down.Store(true)
					close(taken)
					return loader.KeepWrite
				}
			}), func(c *loader.Config[string]) { c.Codec = forgetful{} })
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			<-taken
			synctest.Wait()
			require.Equal(t, 1, j.left())
			_, ok := c.Peek(0, "k")
			require.True(t, ok, "nobody could tell the copies")
			if closes {
				require.NoError(t, l.Close(), "it is the next start's")
				require.Equal(t, 1, j.left())
				return
			}
			down.Store(false)
			require.NoError(t, l.Flush(t.Context()))
			for i := range 2 {
				_, ok := c.Peek(i, "k")
				require.False(t, ok, "copy %d", i)
			}
			n := l.Counters().Back
			require.EqualValues(t, 1, n.Parked)
			require.Zero(t, n.Untold)
			require.Equal(t, 1, j.left())
		})
	}
}

// How often the origin has failed says nothing of the cache, which is tried MaxAttempts times of its own.
func TestTheCachesFailuresAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
		var stores, fails atomic.Int64
		o.onStore = func(string, string) error {
			if stores.Add(1) <= 4 {
				return errOrigin
			}
			fails.Store(3) // the store under the tokens, and two deletes
			return nil
		}
		c.Fail = func(string) error {
			if fails.Add(-1) >= 0 {
				return errors.New("cache is down")
			}
			return nil
		}
		l := open(t, c, o, writeBack(j, func(b *loader.BackConfig[string]) { b.MaxAttempts = 3 }))
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		require.NoError(t, l.Flush(t.Context()))
		require.EqualValues(t, 5, stores.Load())
		require.Zero(t, l.Counters().Back.Untold)
		for i := range 2 {
			_, ok := c.Peek(i, "k")
			require.False(t, ok, "copy %d", i)
		}
	})
}

// A write whose key waits for a worker already is not taken in place of the older one before the copies have
// heard of it: see TestTheCopiesComeBeforeTheOrigin.
func TestTheCopiesComeBeforeAQueuedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		var stored []string
		busy, slow := make(chan bool), make(chan bool)
		o.onStore = func(key, v string) error {
			if stored = append(stored, v); key == "other" {
				<-busy
			}
			return nil
		}
		l := open(t, c, o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) { b.Workers = 1 }))
		require.NoError(t, l.Put(t.Context(), "other", "0"))
		synctest.Wait() // the worker has it
		require.NoError(t, l.Put(t.Context(), "k", "1"))
		c.Fail = func(method string) error {
			if method == "SetKeep" {
				<-slow
			}
			return nil
		}
		done := make(chan error)
		go func() { done <- l.Put(t.Context(), "k", "2") }()
		synctest.Wait()
		busy <- true
		synctest.Wait()
		require.Equal(t, []string{"0"}, stored)
		slow <- true
		require.NoError(t, <-done)
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, []string{"0", "2"}, stored)
		mustGet(t, l, "2")
	})
}

// A write that waits for the next start does not undo a later one of its key by another policy then, and is not lost to one that failed.
func TestParkedBehindALaterWrite(t *testing.T) {
	around := loader.WriteOptions{Policy: loader.WriteAround}
	through := loader.WriteOptions{Policy: loader.WriteThrough}
	for name, write := range map[string]func(l *loader.Loader[string]) error{
		"around":  func(l *loader.Loader[string]) error { return l.PutWith(context.Background(), "k", "2", around) },
		"through": func(l *loader.Loader[string]) error { return l.PutWith(context.Background(), "k", "2", through) },
		"back":    func(l *loader.Loader[string]) error { return l.Put(context.Background(), "k", "2") },
		"many": func(l *loader.Loader[string]) error {
			return l.PutMultiWith(context.Background(), map[string]string{"k": "2", "other": "2"}, around)
		},
		"delete": func(l *loader.Loader[string]) error { return l.DeleteWith(context.Background(), "k", around) },
		"failed": func(l *loader.Loader[string]) error {
			if err := l.PutWith(context.Background(), "k", "fails", around); !errors.Is(err, errOrigin) {
				return fmt.Errorf("the origin's error is missing: %w", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, o := t.TempDir(), newOrigin("k", "0")
			run := func(codec loader.Codec[string], do func(l *loader.Loader[string])) {
				j, err := journal.Open(filepath.Join(dir, "j"))
				require.NoError(t, err)
				l := open(t, fakecache.New(2), o, writeBack(j, noDrain), func(c *loader.Config[string]) { c.Codec = codec })
				do(l)
				die(t, l)
				require.NoError(t, j.Close())
			}
			down := breaks(o)
			run(loader.String{}, func(l *loader.Loader[string]) { require.NoError(t, l.Put(t.Context(), "k", "1")) })
			down.end()
			run(loader.JSON[string]{}, func(l *loader.Loader[string]) { // which can't read it
				require.NoError(t, l.Flush(t.Context()))
				require.EqualValues(t, 1, l.Counters().Back.Parked)
				o.onStore = func(_, v string) error {
					if v == "fails" {
						return errOrigin
					}
					return nil
				}
				require.NoError(t, write(l))
				require.NoError(t, l.Flush(t.Context()))
			})
			want, ok := o.rows["k"]
			if name == "failed" {
				want = "1"
			}
			run(loader.String{}, func(l *loader.Loader[string]) { require.NoError(t, l.Flush(t.Context())) })
			have, has := o.rows["k"]
			require.Equal(t, want, have)
			require.Equal(t, ok, has)
		})
	}
}

// A write that is too old to reach the origin is not read either, while it waits for DeadLetter's word: the origin may long have something newer.
func TestATooOldWriteIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(1), newOrigin("k", "0", "young", "0"), newMemJournal()
		breaks(o)
		l := open(t, c, o, writeBack(j, noDrain))
		require.NoError(t, l.Put(t.Context(), "k", "1"))
		time.Sleep(25 * time.Hour)
		require.NoError(t, l.Put(t.Context(), "young", "1"))
		die(t, l)
		o.set("k", "2")
		word := make(chan loader.Verdict)
		l = open(t, c, o, writeBack(j, noDrain, func(b *loader.BackConfig[string]) {
			b.DeadLetter = func(loader.DeadWrite[string]) loader.Verdict { return <-word }
		}))
		synctest.Wait()
		read := func() {
			t.Helper()
			mustGet(t, l, "2")
			found, err := l.GetMulti(t.Context(), []string{"k", "young"})
			require.NoError(t, err)
			require.Equal(t, map[string]string{"k": "2", "young": "1"}, found)
			v, err := l.Peek(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "2", v)
			v, err = l.Refresh(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "2", v)
		}
		read()
		word <- loader.KeepWrite
		synctest.Wait()
		read()
		require.EqualValues(t, 1, l.Counters().Back.Parked)
	})
}

// A Store whose own errors are a loader's, as those of a second tier are, has refused the write: it is not for the next start to read, but to be tried
// again.
func TestAStoreOverAnotherLoader(t *testing.T) {
	for _, err := range []error{loader.ErrUnreadable, loader.ErrTooOld} {
		synctest.Test(t, func(t *testing.T) {
			o, j := newOrigin(), newMemJournal()
			var works atomic.Bool
			o.onStore = func(string, string) error {
				if works.Load() {
					return nil
				}
				return fmt.Errorf("second tier: %w", err)
			}
			l := open(t, fakecache.New(1), o, writeBack(j, func(b *loader.BackConfig[string]) { b.MaxAttempts = 1 }))
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			synctest.Wait()
			require.Zero(t, l.Counters().Back.Parked)
			mustGet(t, l, "new")
			works.Store(true)
			require.NoError(t, l.Flush(t.Context()))
			require.Equal(t, "new", o.rows["k"])
		})
	}
}
