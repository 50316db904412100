package table_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/table"
)

// Loads go to a standby that has stopped replaying: with markers nobody reads what it still
// has, without them everybody does.
func TestALaggingReplica(t *testing.T) {
	pg := server(t)
	db, ctx := postgres(t, pg), context.Background()
	require.NoError(t, db.Put(ctx, "with", "old"))
	require.NoError(t, db.Put(ctx, "without", "old"))
	standby, err := pg.Standby()
	require.NoError(t, err)
	defer func() { require.NoError(t, standby.Remove()) }()
	replica, err := table.Replica(standby.DSN())
	require.NoError(t, err)
	defer func() { require.NoError(t, replica.Close()) }()
	near := func(c *loader.Config[string]) { c.Load, c.LoadMany = replica.Load, replica.LoadMany }
	marked := func(c *loader.Config[string]) {
		near(c)
		c.Region = loader.RegionConfig[string]{LoadMaster: db.Load}
	}
	nodes := fleet(t)
	writer, reader := process(t, nodes, db, marked, by(loader.WriteAround)), process(t, nodes, db, marked)
	careless := process(t, nodes, db, near, by(loader.WriteAround))
	for _, l := range []*loader.Loader[string]{reader, careless} {
		v, err := l.Get(ctx, "with")
		require.NoError(t, err)
		require.Equal(t, "old", v)
	}
	require.Positive(t, replica.Loads.Load(), "reads come from the replica")

	require.NoError(t, replica.PauseReplay(ctx))
	require.NoError(t, writer.Put(ctx, "with", "new"))
	require.NoError(t, careless.Put(ctx, "without", "new"))
	behind, err := replica.Row(ctx, "with")
	require.NoError(t, err)
	require.Equal(t, "old", behind, "the replica has neither")
	v, err := reader.Get(ctx, "with")
	require.NoError(t, err)
	require.Equal(t, "new", v)
	got, err := reader.GetMulti(ctx, []string{"with", "nowhere"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"with": "new"}, got)
	require.Positive(t, reader.Counters().MasterLoads)
	v, err = careless.Get(ctx, "without")
	require.NoError(t, err)
	require.Equal(t, "old", v, "this is what markers are for")

	require.NoError(t, replica.ResumeReplay(ctx))
	for behind != "new" {
		behind, err = replica.Row(ctx, "without")
		require.NoError(t, err)
	}
	require.NoError(t, careless.Invalidate(ctx, "without"))
	v, err = careless.Get(ctx, "without")
	require.NoError(t, err)
	require.Equal(t, "new", v)
}
