package loader_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

var errOrigin = errors.New("origin is down")

// outage is whether an origin takes writes.
type outage struct{ off atomic.Bool }

func (d *outage) err() error {
	if d.off.Load() {
		return nil
	}
	return errOrigin
}

func (d *outage) end() { d.off.Store(true) }

// breaks makes all of o's writes fail until the outage ends.
func breaks(o *origin) *outage {
	d := new(outage)
	o.onStore = func(string, string) error { return d.err() }
	return d
}

// A Put returns before the origin has the value, is read at once by this process and
// another, and reaches the origin. The value stays cached.
func TestWriteBackReachesTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
		down := breaks(o)
		l, other := open(t, c, o, writeBack(j)), open(t, c, o)
		mustGet(t, other, "old")
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		mustGet(t, l, "new")
		mustGet(t, other, "new")
		require.Equal(t, "old", o.rows["k"])
		require.Equal(t, 1, j.left())
		require.Equal(t, 1, l.Counters().Back.Pending)
		synctest.Wait()
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, "new", o.rows["k"])
		require.Zero(t, j.left())
		s := l.Counters().Back
		require.Zero(t, s.Pending)
		require.EqualValues(t, 1, s.Flushed)
		require.NotZero(t, s.Failures)
		loads := o.loads.Load()
		mustGet(t, l, "new")
		mustGet(t, other, "new")
		require.Equal(t, loads, o.loads.Load())
	})
}

// What a node evicted, or lost in a restart, or another process's fill of the older value
// has replaced, this process reads all the same until the origin has it. The fill of the
// older value does not outlive the flush.
func TestWriteBackIsReadBackAfterEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		down := breaks(o)
		l, other := open(t, c, o, writeBack(newMemJournal())), open(t, c, o)
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		_, err := c.Delete(t.Context(), "k") // evicted everywhere
		require.NoError(t, err)
		mustGet(t, other, "old") // documented: the origin's older value, and it is cached
		mustGet(t, l, "new")
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		mustGet(t, other, "new")
		mustGet(t, l, "new")
	})
}

// A load that read the origin before the Put does not bring the old value back.
func TestWriteBackVoidsLoadsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin("k", "old")
		read, goOn := make(chan bool), make(chan bool)
		o.after = func(string) { read <- true; <-goOn }
		l := open(t, c, o, writeBack(newMemJournal()))
		got := make(chan string)
		go func() {
			v, _ := l.Get(t.Context(), "k")
			got <- v
		}()
		<-read
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		require.NoError(t, l.Flush(t.Context()))
		o.after = nil
		goOn <- true
		require.Equal(t, "old", <-got, "it began before the Put")
		mustGet(t, l, "new")
	})
}

func TestWriteBackDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
		down := new(outage)
		fails := func(cfg *loader.Config[string]) {
			cfg.Remove = func(ctx context.Context, key string) error {
				if _, ok := loader.VersionOf(ctx); !ok {
					return errors.New("no version")
				}
				if err := down.err(); err != nil {
					return err
				}
				return o.remove(ctx, key)
			}
		}
		l, other := open(t, c, o, writeBack(j), fails), open(t, c, o)
		mustGet(t, l, "old")
		require.NoError(t, l.Delete(t.Context(), "k"))
		_, err := l.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		require.Equal(t, "old", o.rows["k"])
		mustGet(t, other, "old") // the origin's, until the flush
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		_, err = other.Get(t.Context(), "k")
		require.ErrorIs(t, err, loader.ErrNotFound)
		require.Zero(t, j.left())
	})
}

// Of many Puts of a key while the origin is down only the newest goes there, and Puts of
// other keys do not wait for it.
func TestWriteBackCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		var stored []string
		down := new(outage)
		o.onStore = func(k, v string) error {
			if err := down.err(); k == "a" && err != nil {
				return err
			}
			stored = append(stored, k+v)
			return nil
		}
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) { b.Workers = 1 }))
		for i := range 50 {
			require.NoError(t, l.Put(t.Context(), "a", fmt.Sprint(i)))
		}
		require.NoError(t, l.Put(t.Context(), "b", "x"))
		synctest.Wait()
		require.Equal(t, []string{"bx"}, stored)
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, []string{"bx", "a49"}, stored)
		s := l.Counters().Back
		require.EqualValues(t, 2, s.Flushed)
		require.EqualValues(t, 49, s.Coalesced)
	})
}

// A Put when the backlog is full waits for room, fails clearly when its context ends
// first, and is let in when there is some.
func TestWriteBackBackPressure(t *testing.T) {
	for name, limit := range map[string]func(*loader.BackConfig[string]){
		"keys":  func(b *loader.BackConfig[string]) { b.MaxPending = 2 },
		"bytes": func(b *loader.BackConfig[string]) { b.MaxPendingBytes = 450 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, j := newOrigin(), newMemJournal()
				down := breaks(o)
				l := open(t, fakecache.New(1), o, writeBack(j, limit))
				require.NoError(t, l.Put(t.Context(), "a", "1"))
				require.NoError(t, l.Put(t.Context(), "b", "1"))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := l.Put(ctx, "c", "1")
				require.ErrorIs(t, err, loader.ErrBacklogFull)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 2, j.left(), "it was not accepted")
				require.EqualValues(t, 1, l.Counters().Back.Full)
				done := make(chan error)
				go func() { done <- l.Put(t.Context(), "c", "2") }()
				synctest.Wait()
				down.end()
				require.NoError(t, l.Flush(t.Context()))
				require.NoError(t, <-done)
				require.NoError(t, l.Flush(t.Context()))
				require.Equal(t, map[string]string{"a": "1", "b": "1", "c": "2"}, o.rows)
			})
		})
	}
}

// Close lets nobody wait for room.
func TestCloseEndsBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, j := newOrigin(), newMemJournal()
		breaks(o)
		l := open(t, fakecache.New(1), o, writeBack(j, func(b *loader.BackConfig[string]) { b.MaxPending = 1 }))
		require.NoError(t, l.Put(t.Context(), "a", "1"))
		done := make(chan error)
		go func() { done <- l.Put(t.Context(), "b", "1") }()
		synctest.Wait()
		require.ErrorIs(t, l.Close(), loader.ErrPending)
		require.ErrorIs(t, <-done, loader.ErrClosed)
		require.Equal(t, 1, j.left())
	})
}

// A journal that fails is an error of Put, and nothing else has happened.
func TestWriteBackJournalFails(t *testing.T) {
	c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
	l := open(t, c, o, writeBack(j))
	mustGet(t, l, "old")
	j.fail = errDisk
	for range 2 {
		err := l.Put(t.Context(), "k", "new")
		require.ErrorIs(t, err, loader.ErrJournal)
		require.ErrorIs(t, err, errDisk)
	}
	require.ErrorIs(t, l.Delete(t.Context(), "k"), loader.ErrJournal)
	mustGet(t, l, "old")
	require.NoError(t, l.Flush(t.Context()))
	require.Equal(t, "old", o.rows["k"])
	require.EqualValues(t, 2, l.Counters().PutErrors)
}

// A cache that is down takes nothing from the promise: the write is in the journal, is
// read, and reaches the origin.
func TestWriteBackWithoutCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin("k", "old")
		l := open(t, c, o, writeBack(newMemJournal()))
		down := breaks(o)
		c.SetDown(0, true)
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		mustGet(t, l, "new")
		down.end()
		require.NoError(t, l.Flush(t.Context()))
		mustGet(t, l, "new")
		c.SetDown(0, false)
		mustGet(t, l, "new")
	})
}

// A Put whose goroutine is held up between the journal and the cache, while a later one of
// its key goes all the way to the origin, comes too late: its value is written nowhere.
func TestAHeldUpPutDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o, j := fakecache.New(2), newOrigin("k", "old"), newMemJournal()
		l := open(t, c, o, writeBack(j))
		held, goOn := make(chan bool), make(chan bool)
		j.after = func(recs []loader.Record) {
			if string(recs[0].Value) == "1" {
				held <- true
				<-goOn
			}
		}
		done := make(chan error)
		go func() { done <- l.Put(t.Context(), "k", "1") }()
		<-held
		require.NoError(t, l.Put(t.Context(), "k", "2"))
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, "2", o.rows["k"])
		goOn <- true
		require.NoError(t, <-done)
		mustGet(t, l, "2")
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, "2", o.rows["k"])
		require.EqualValues(t, 1, l.Counters().Back.Coalesced)
		require.Zero(t, l.Counters().Back.Pending+j.left())
	})
}

// Puts of one key at one moment share the work on the copies; the last accepted is what
// they hold, and what the origin gets.
func TestConcurrentPutsOfAKey(t *testing.T) {
	c, o, j := fakecache.New(2), newOrigin(), newMemJournal()
	l := open(t, c, o, writeBack(j))
	for range scaled(200) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { assert.NoError(t, l.Put(t.Context(), "k", fmt.Sprint(i))) })
		}
		wg.Wait()
		read, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.NoError(t, l.Flush(t.Context()))
		mustGet(t, l, read)
		o.mu.Lock()
		require.Equal(t, read, o.rows["k"])
		o.mu.Unlock()
	}
}

// A write does not reach the origin before the copies have heard of it, even if a worker
// that has just finished the key's last write is waiting for it: what is stored on the
// copies after a newer foreign write would pass for ours, and be stored again.
func TestTheCopiesComeBeforeTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin()
		var stored []string
		first, second := make(chan bool), make(chan bool)
		o.onStore = func(_, v string) error {
			stored = append(stored, v)
			if v == "1" {
				<-first
			}
			return nil
		}
		l := open(t, c, o, writeBack(newMemJournal()))
		require.NoError(t, l.Put(t.Context(), "k", "1"))
		synctest.Wait() // a worker has it
		c.Fail = func(method string) error {
			if method == "SetKeep" {
				<-second
			}
			return nil
		}
		done := make(chan error)
		go func() { done <- l.Put(t.Context(), "k", "2") }()
		synctest.Wait()
		first <- true
		synctest.Wait()
		require.Equal(t, []string{"1"}, stored)
		second <- true
		require.NoError(t, <-done)
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, []string{"1", "2"}, stored)
		mustGet(t, l, "2")
	})
}
