package loader_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// batchCache deletes many keys in one call, as the client does.
type batchCache struct {
	*fakecache.Cache
	batches []int
	fail    error
	left    int // outcomes to leave out of the answer
}

func (c *batchCache) DeleteMulti(ctx context.Context, keys []string) ([]item.Outcome, error) {
	c.batches = append(c.batches, len(keys))
	if c.fail != nil {
		return nil, c.fail
	}
	var out []item.Outcome
	var errs []error
	for _, k := range keys {
		o, err := c.Delete(ctx, k)
		out, errs = append(out, o), append(errs, err)
	}
	return out[:len(out)-c.left], errors.Join(errs...)
}

func allPolicies(t *testing.T, f func(t *testing.T, p loader.WritePolicy)) {
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough, loader.WriteBack} {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}

func hundredValues(v string) map[string]string {
	m := map[string]string{}
	for i := range 100 {
		m[fmt.Sprint("k", i)] = v
	}
	return m
}

// All values are at the origin and read by every process, whatever was cached.
func TestPutMulti(t *testing.T) {
	allPolicies(t, func(t *testing.T, p loader.WritePolicy) {
		c, o, j := &batchCache{Cache: fakecache.New(2)}, newOrigin(), newMemJournal()
		l, other := open(t, c, o, writeBack(j), func(c *loader.Config[string]) { c.Write = p }), open(t, c, o)
		ctx := t.Context()
		for _, v := range []string{"old", "new"} {
			want := hundredValues(v)
			require.NoError(t, l.PutMulti(ctx, want))
			for key := range want {
				for _, l := range []*loader.Loader[string]{l, other} {
					got, err := l.Get(ctx, key)
					require.NoError(t, err)
					require.Equal(t, v, got)
				}
			}
			require.NoError(t, l.Flush(ctx))
			o.mu.Lock()
			require.Equal(t, want, o.rows)
			o.mu.Unlock()
		}
		require.EqualValues(t, 200, l.Counters().Puts)
		if p == loader.WriteAround {
			require.Equal(t, []int{100, 100}, c.batches)
		}
		require.NoError(t, l.PutMulti(ctx, nil))
	})
}

// The error says which keys failed, and the others are written.
func TestPutMultiFailsKeyByKey(t *testing.T) {
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		c, o := &batchCache{Cache: fakecache.New(2)}, newOrigin("k1", "old")
		o.onStore = func(k, _ string) error {
			if k == "k1" || k == "k2" {
				return errOrigin
			}
			return nil
		}
		l := open(t, c, o)
		v, err := l.Get(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, "old", v)
		err = l.PutMultiWith(t.Context(), hundredValues("new"), loader.WriteOptions{Policy: p})
		var failed loader.KeyErrors
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, err, errOrigin)
		require.Len(t, failed, 2)
		require.ErrorIs(t, failed["k2"], errOrigin)
		require.NotContains(t, err.Error(), "k1")
		require.Len(t, o.rows, 99)
		require.EqualValues(t, 2, l.Counters().PutErrors)
		for i := range 2 {
			_, ok := c.Peek(i, "k1")
			require.False(t, ok, "what the origin has of it is unknown")
		}
	}
}

// One journal commit takes all; when it fails nothing is accepted.
func TestPutMultiJournalsTogether(t *testing.T) {
	o, j := newOrigin(), newMemJournal()
	appends := 0
	j.after = func([]loader.Record) { appends++ }
	l := open(t, fakecache.New(1), o, writeBack(j))
	require.NoError(t, l.PutMulti(t.Context(), hundredValues("v")))
	require.Equal(t, 1, appends)
	require.NoError(t, l.Flush(t.Context()))
	j.fail = errDisk
	var failed loader.KeyErrors
	require.ErrorAs(t, l.PutMulti(t.Context(), hundredValues("w")), &failed)
	require.Len(t, failed, 100)
	require.ErrorIs(t, failed["k7"], loader.ErrJournal)
	require.Equal(t, hundredValues("v"), o.rows)
	require.Zero(t, l.Counters().Back.Pending)
}

// More values than the backlog takes at once go in one after the other.
func TestPutMultiLargerThanTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []func(*loader.BackConfig[string]){
			func(b *loader.BackConfig[string]) { b.MaxPending = 7 },
			func(b *loader.BackConfig[string]) { b.MaxPendingBytes = 1000 },
			func(b *loader.BackConfig[string]) { b.MaxPendingBytes = 1 },
		} {
			o := newOrigin()
			l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), limit))
			done := make(chan error)
			for range 3 {
				go func() { done <- l.PutMulti(t.Context(), hundredValues("v")) }()
			}
			for range 3 {
				require.NoError(t, <-done)
			}
			require.NoError(t, l.Flush(t.Context()))
			require.Equal(t, hundredValues("v"), o.rows)

			down := breaks(o)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := l.PutMulti(ctx, hundredValues("w"))
			cancel()
			require.ErrorIs(t, err, loader.ErrBacklogFull)
			var failed loader.KeyErrors
			require.ErrorAs(t, err, &failed)
			require.Equal(t, 100, len(failed)+l.Counters().Back.Pending, "the others are accepted")
			down.end()
			require.NoError(t, l.Flush(t.Context()))
			want := hundredValues("w")
			for key := range failed {
				want[key] = "v"
			}
			o.mu.Lock()
			require.True(t, maps.Equal(want, o.rows))
			o.mu.Unlock()
		}
	})
}

func TestWriteOptions(t *testing.T) {
	ctx := t.Context()
	plain := open(t, fakecache.New(1), newOrigin())
	back := loader.WriteOptions{Policy: loader.WriteBack}
	require.ErrorIs(t, plain.PutWith(ctx, "k", "v", back), loader.ErrNoJournal)
	require.ErrorIs(t, plain.PutMultiWith(ctx, hundredValues("v"), back), loader.ErrNoJournal)
	require.ErrorIs(t, plain.DeleteWith(ctx, "k", back), loader.ErrNoJournal)
	require.ErrorContains(t, plain.PutWith(ctx, "k", "v", loader.WriteOptions{Policy: 9}), "WritePolicy(9)")
	err := plain.PutMulti(ctx, map[string]string{"good": "v", "b d": "v"})
	require.ErrorIs(t, err, item.ErrMalformedKey)
	require.Zero(t, plain.Counters().Puts)
	require.NoError(t, plain.Close())
	require.ErrorIs(t, plain.PutMulti(ctx, hundredValues("v")), loader.ErrClosed)

	// A loader of another policy with a journal.
	j := newMemJournal()
	l := open(t, fakecache.New(1), newOrigin(), writeBack(j), writeThrough)
	require.NoError(t, l.Put(ctx, "k", "v"))
	require.EqualValues(t, 0, j.clock.Seq)
	require.NoError(t, l.PutWith(ctx, "k", "v", back))
	require.EqualValues(t, 1, j.clock.Seq)
	require.NoError(t, l.DeleteWith(ctx, "k", back))
	require.EqualValues(t, 2, j.clock.Seq)
}

// A write of another policy waits for what is pending of its key, which would come behind
// it otherwise.
func TestOtherPoliciesComeAfterWriteBack(t *testing.T) {
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		synctest.Test(t, func(t *testing.T) {
			o := newOrigin()
			down := breaks(o)
			l := open(t, fakecache.New(1), o, writeBack(newMemJournal()))
			require.NoError(t, l.Put(t.Context(), "k", "back"))
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			way := loader.WriteOptions{Policy: p}
			require.ErrorIs(t, l.PutWith(ctx, "k", "other", way), loader.ErrPending)
			require.ErrorIs(t, l.DeleteWith(ctx, "k", way), context.DeadlineExceeded)
			require.ErrorIs(t, l.PutMultiWith(ctx, map[string]string{"k": "other"}, way), context.DeadlineExceeded)
			mustGet(t, l, "back")
			down.end()
			require.NoError(t, l.PutWith(t.Context(), "k", "other", way))
			require.Equal(t, "other", o.rows["k"])
			require.NoError(t, l.Put(t.Context(), "k", "back"))
			require.NoError(t, l.DeleteWith(t.Context(), "k", way))
			require.Empty(t, o.rows)
			_, err := l.Get(t.Context(), "k")
			require.ErrorIs(t, err, loader.ErrNotFound)
		})
	}
}

// Of many writes that find no room each is counted.
func TestPutMultiFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		down := breaks(o)
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) { b.MaxPending = 3 }))
		require.NoError(t, l.PutMulti(t.Context(), map[string]string{"k": "v", "l": "v", "m": "v"}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.PutMulti(ctx, map[string]string{"a": "1", "b": "1", "c": "1"}), loader.ErrBacklogFull)
		n := l.Counters()
		require.EqualValues(t, 3, n.PutErrors)
		require.EqualValues(t, 3, n.Back.Full)
		down.end()
	})
}

// One write that the origin does not take, and that keeps a place in the backlog, keeps no PutMulti of MaxPending keys or more from its turn for
// ever, nor those behind it.
func TestPutMultiBesideAStuckWrite(t *testing.T) {
	for name, limit := range map[string]func(*loader.BackConfig[string]){
		"keys":  func(b *loader.BackConfig[string]) { b.MaxPending = 4 },
		"bytes": func(b *loader.BackConfig[string]) { b.MaxPendingBytes = 900 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin()
				o.onStore = func(key, _ string) error {
					time.Sleep(time.Millisecond)
					if key == "stuck" {
						return errOrigin
					}
					return nil
				}
				l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), noDrain, limit))
				require.NoError(t, l.Put(t.Context(), "stuck", "v"))
				values := hundredValues("v")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				single := make(chan error, 1)
				go func() {
					time.Sleep(time.Millisecond)
					single <- l.Put(ctx, "single", "v")
				}()
				require.NoError(t, l.PutMulti(ctx, values))
				require.NoError(t, <-single)
				time.Sleep(time.Second)
				o.mu.Lock()
				defer o.mu.Unlock()
				for key := range values {
					require.Equal(t, "v", o.rows[key])
				}
			})
		})
	}
}
