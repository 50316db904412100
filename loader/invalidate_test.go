package loader_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// Many keys go to the cache in batches, none is left out, and the next reads are the
// origin's.
func TestInvalidateInBatches(t *testing.T) {
	c, o := &batchCache{Cache: fakecache.New(2)}, newOrigin()
	l := open(t, c, o)
	var keys []string
	for i := range 2500 {
		key := fmt.Sprint(i)
		keys = append(keys, key)
		o.set(key, "old")
		_, err := l.Get(t.Context(), key)
		require.NoError(t, err)
		o.set(key, "new")
	}
	require.NoError(t, l.Invalidate(t.Context(), keys...))
	require.Equal(t, []int{1024, 1024, 452}, c.batches)
	require.EqualValues(t, 2500, l.Counters().Deletes)
	for _, key := range keys {
		v, err := l.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, "new", v)
	}
	require.NoError(t, l.Invalidate(t.Context()))
	require.NoError(t, l.Invalidate(t.Context(), "one"))
	require.Len(t, c.batches, 3, "one key is a plain delete")
}

func TestInvalidateBatchFails(t *testing.T) {
	c, o := &batchCache{Cache: fakecache.New(2)}, newOrigin()
	var owed int
	l := open(t, c, o, func(c *loader.Config[string]) {
		c.Hooks.Owed = func(_ string, o item.Outcome) { owed += o.Owed }
	})
	// A copy that is down is owed, which is no error.
	c.SetDown(0, true)
	require.NoError(t, l.Invalidate(t.Context(), "a", "b", "c"))
	require.Equal(t, 3, owed)
	// No outcomes at all, or too few: those keys failed.
	c.fail = errors.New("cache is gone")
	err := l.Invalidate(t.Context(), "a", "b", "c")
	require.ErrorIs(t, err, loader.ErrNotInvalidated)
	require.ErrorIs(t, err, c.fail)
	require.EqualValues(t, 3, l.Counters().DeleteErrors)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Invalidate(ctx, "a", "b"), context.Canceled)
	require.EqualValues(t, 6, l.Counters().Deletes, "it was not begun")
}
