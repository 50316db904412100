package table_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/table"
)

// waits returns when a statement waits for another transaction, or, with some false, when none does.
func waits(t *testing.T, db *table.Table, some bool) {
	for {
		n, err := db.Waiting(context.Background())
		require.NoError(t, err)
		if n > 0 == some {
			return
		}
	}
}

// Somebody's transaction holds the row: a Put waits for it, and comes after it in the cache
// as in the table.
func TestAPutBehindATransaction(t *testing.T) {
	db, nodes, ctx := postgres(t, server(t)), fleet(t), context.Background()
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		t.Run(p.String(), func(t *testing.T) {
			l, reader := process(t, nodes, db, by(p)), process(t, nodes, db)
			key, done := t.Name(), make(chan error, 1)
			require.NoError(t, db.Locked(ctx, key, "theirs", func() {
				go func() { done <- l.Put(ctx, key, "ours") }()
				waits(t, db, true)
			}))
			require.NoError(t, <-done)
			v, err := reader.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "ours", v)
			row, err := db.Row(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "ours", row)
		})
	}
}

// Its caller gives up while it waits: the Put fails, and what is read is what the table
// has then, not what was read meanwhile.
func TestAPutThatGivesUpBehindATransaction(t *testing.T) {
	db, nodes := postgres(t, server(t)), fleet(t)
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		t.Run(p.String(), func(t *testing.T) {
			l, reader := process(t, nodes, db, by(p)), process(t, nodes, db)
			key := t.Name()
			require.NoError(t, db.Put(context.Background(), key, "before"))
			ctx, cancel := context.WithCancel(context.Background())
			require.NoError(t, db.Locked(context.Background(), key, "theirs", func() {
				done := make(chan error, 1)
				go func() { done <- l.Put(ctx, key, "ours") }()
				waits(t, db, true)
				cancel()
				require.ErrorIs(t, <-done, context.Canceled)
				waits(t, db, false) // until the server has given it up, too, it may still write when they have committed
				v, err := reader.Get(context.Background(), key)
				require.NoError(t, err)
				require.Equal(t, "before", v, "they have not committed")
			}))
			require.NoError(t, l.Invalidate(context.Background(), key), "they know nothing of the cache: their change log tells")
			for _, r := range []*loader.Loader[string]{l, reader} {
				v, err := r.Get(context.Background(), key)
				require.NoError(t, err)
				require.Equal(t, "theirs", v)
			}
		})
	}
}
