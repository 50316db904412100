package table_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// The database crashes and comes back, recovering from its log.
func TestTheDatabaseIsAway(t *testing.T) {
	pg := server(t)
	db, nodes, ctx := postgres(t, pg), fleet(t), context.Background()
	through := process(t, nodes, db, by(loader.WriteThrough), func(c *loader.Config[string]) {
		c.Prefix, c.TTL, c.Freshness = "through:", 50*time.Millisecond, loader.Freshness{IfError: time.Hour, Beta: -1}
	})
	behind := process(t, nodes, db, back(t, db), func(c *loader.Config[string]) { c.Prefix = "back:" })
	require.NoError(t, through.Put(ctx, "a", "before"))
	require.NoError(t, behind.Put(ctx, "b0", "before"))
	flushed(t, behind)
	require.NoError(t, pg.Crash())
	launched := false
	defer func() {
		if !launched { // for the other tests
			require.NoError(t, pg.Launch())
		}
	}()

	// What is cached is served, past its TTL, too; what is not fails, and is not taken for absent.
	for through.Counters().StaleOnError == 0 {
		v, err := through.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, "before", v)
	}
	_, err := through.Get(ctx, "never-read")
	require.Error(t, err)
	require.NotErrorIs(t, err, loader.ErrNotFound)
	// A write to the table fails; one to the journal is accepted, and read.
	require.Error(t, through.Put(ctx, "a", "lost"))
	const writes = 50
	for i := range writes {
		require.NoError(t, behind.Put(ctx, fmt.Sprintf("b%d", i%10), fmt.Sprint("while away ", i)))
	}
	v, err := behind.Get(ctx, "b3")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint("while away ", writes-7), v)

	require.NoError(t, pg.Launch())
	launched = true
	flushed(t, behind)
	for i := range 10 {
		row, err := db.Row(ctx, fmt.Sprintf("b%d", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("while away ", writes-10+i), row, "the last write of each key")
	}
	require.Zero(t, behind.Counters().Back.Pending)
	v, err = through.Get(ctx, "a")
	require.NoError(t, err)
	row, err := db.Row(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, row, v)
	_, err = through.Get(ctx, "never-read")
	require.ErrorIs(t, err, loader.ErrNotFound)
	require.NoError(t, through.Put(ctx, "a", "after"))
}

// The database crashes again and again under write-back. What was accepted is there in the end, even if
// a transaction's answer was lost with the server.
func TestCrashesUnderWriteBack(t *testing.T) {
	pg := server(t)
	db, ctx := postgres(t, pg), context.Background()
	l := process(t, fleet(t), db, back(t, db))
	last := make(map[string]string)
	for crash := range max(2, scaled(4)) {
		for i := range 200 {
			key, v := fmt.Sprintf("k%d", i%50), fmt.Sprintf("%d.%d", crash, i)
			require.NoError(t, l.Put(ctx, key, v))
			last[key] = v
		}
		require.NoError(t, pg.Crash())
		require.NoError(t, pg.Launch())
	}
	flushed(t, l)
	for key, want := range last {
		row, err := db.Row(ctx, key)
		require.NoError(t, err)
		require.Equal(t, want, row)
		v, err := l.Get(ctx, key)
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
}
