package loader_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// Flush and Close try at once what pauses after a failure.
func TestFlushAndCloseEndPauses(t *testing.T) {
	for _, end := range []func(l *loader.Loader[string]) error{
		func(l *loader.Loader[string]) error { return l.Flush(context.Background()) },
		func(l *loader.Loader[string]) error { return l.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOrigin()
			down := breaks(o)
			l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) {
				b.MinBackoff, b.MaxBackoff = time.Hour, time.Hour
			}))
			begun := time.Now()
			require.NoError(t, l.Put(t.Context(), "k", "v"))
			synctest.Wait() // it pauses
			down.end()
			require.NoError(t, end(l))
			require.Equal(t, "v", o.rows["k"])
			require.Zero(t, time.Since(begun))
		})
	}
}

// A Flush whose write fails, and is given up for a newer one that came after Flush was called, waits for that one:
//
//  1. Put 1, which a worker brings to the origin;
//  2. Flush;
//  3. Put 2;
//  4. the origin refuses 1, which is not tried again;
//  5. the origin has neither until it has taken 2.
func TestFlushWaitsForWhatStandsForItsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, turn := newOrigin(), make(chan error)
		o.onStore = func(string, string) error { return <-turn }
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal()))
		require.NoError(t, l.Put(t.Context(), "k", "1"))
		synctest.Wait()
		flushed := make(chan error, 1)
		go func() { flushed <- l.Flush(t.Context()) }()
		synctest.Wait()
		require.NoError(t, l.Put(t.Context(), "k", "2"))
		turn <- errOrigin
		synctest.Wait()
		require.Empty(t, flushed, "nothing has reached the origin")
		turn <- nil
		require.NoError(t, <-flushed)
		require.Equal(t, "2", o.rows["k"])
	})
}

// A Flush whose write is replaced, before a worker has it, by one that came after Flush was called waits for that one.
func TestFlushWaitsForWhatReplacesItsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, turn := newOrigin(), make(chan error)
		o.onStore = func(string, string) error { return <-turn }
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) { b.Workers = 1 }))
		require.NoError(t, l.Put(t.Context(), "other", "0"))
		synctest.Wait() // the worker has it
		require.NoError(t, l.Put(t.Context(), "k", "1"))
		flushed := make(chan error, 1)
		go func() { flushed <- l.Flush(t.Context()) }()
		synctest.Wait()
		require.NoError(t, l.Put(t.Context(), "k", "2"))
		turn <- nil
		synctest.Wait()
		require.Empty(t, flushed, "the origin has no k")
		turn <- nil
		require.NoError(t, <-flushed)
		require.Equal(t, "2", o.rows["k"])
	})
}

// A call of Store that Close ends is no failure of the origin: DeadLetter hears nothing of it, and the write stays.
func TestWhatCloseEndsIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemJournal()
		l := open(t, fakecache.New(1), newOrigin(), writeBack(j, noDrain, func(b *loader.BackConfig[string]) {
			b.MaxAttempts = 1
			b.DeadLetter = func(loader.DeadWrite[string]) loader.Verdict { return loader.DropWrite }
		}), func(c *loader.Config[string]) {
			c.Store = func(ctx context.Context, _, _ string) error {
				<-ctx.Done()
				return ctx.Err()
			}
		})
		require.NoError(t, l.Put(t.Context(), "k", "v"))
		synctest.Wait()
		require.ErrorIs(t, l.Close(), loader.ErrPending)
		require.Equal(t, 1, j.left())
		require.Zero(t, l.Counters().Back.Dead)
	})
}

// A context that ends with a cause of its own is known by its error all the same.
func TestBackErrorsWrapTheContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		down := breaks(o)
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal(), func(b *loader.BackConfig[string]) { b.MaxPending = 1 }))
		require.NoError(t, l.Put(t.Context(), "k", "v"))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the page has its budget"))
		defer cancel()
		err := l.Put(ctx, "other", "v")
		require.ErrorIs(t, err, loader.ErrBacklogFull)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		err = l.Flush(ctx)
		require.ErrorIs(t, err, loader.ErrPending)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		down.end()
	})
}
