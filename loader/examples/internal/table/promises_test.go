package table_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/table"
)

// By each policy: what is put, read, read together and deleted is what the table has, and
// it is asked no more often than it must be.
func TestReadsAndWrites(t *testing.T) {
	onBoth(t, func(t *testing.T, db *table.Table) {
		nodes, ctx := fleet(t), context.Background()
		every(t, db, func(t *testing.T, policy func() func(*loader.Config[string])) {
			key := func(i int) string { return fmt.Sprintf("%s/%d", t.Name(), i) }
			a, b := process(t, nodes, db, policy()), process(t, nodes, db, policy())
			before := db.Loads.Load()
			for range 3 {
				_, err := a.Get(ctx, key(0))
				require.ErrorIs(t, err, loader.ErrNotFound)
			}
			require.EqualValues(t, 1, db.Loads.Load()-before, "the absence is remembered")

			require.NoError(t, a.Put(ctx, key(0), "new"))
			v, err := a.Get(ctx, key(0))
			require.NoError(t, err)
			require.Equal(t, "new", v, "own writes are seen at once")
			flushed(t, a)
			v, err = db.Row(ctx, key(0))
			require.NoError(t, err)
			require.Equal(t, "new", v)
			v, err = b.Get(ctx, key(0))
			require.NoError(t, err)
			require.Equal(t, "new", v, "by the other process, too")

			var keys []string
			for i := 1; i <= 20; i++ {
				keys = append(keys, key(i))
				require.NoError(t, db.Put(ctx, key(i), fmt.Sprint("row ", i)))
			}
			many, one := db.ManyLoads.Load(), db.Loads.Load()
			for _, l := range []*loader.Loader[string]{a, b} {
				got, err := l.GetMulti(ctx, append(keys, "nowhere/"+t.Name()))
				require.NoError(t, err)
				require.Len(t, got, len(keys))
				require.Equal(t, "row 7", got[key(7)])
			}
			require.EqualValues(t, 1, db.ManyLoads.Load()-many, "one query for all, for both processes")
			require.Zero(t, db.Loads.Load()-one)

			require.NoError(t, b.Delete(ctx, key(0)))
			flushed(t, b)
			_, err = db.Row(ctx, key(0))
			require.ErrorIs(t, err, loader.ErrNotFound)
			for _, l := range []*loader.Loader[string]{a, b} {
				_, err = l.Get(ctx, key(0))
				require.ErrorIs(t, err, loader.ErrNotFound)
			}
		})
	})
}

// Two processes put, delete and read few keys all at once, so that the table's own locks decide the
// order of writes. When all is done, what either reads is what the table has.
func TestTheCacheFollowsTheTable(t *testing.T) {
	onBoth(t, func(t *testing.T, db *table.Table) {
		nodes, ctx := fleet(t), context.Background()
		every(t, db, func(t *testing.T, policy func() func(*loader.Config[string])) {
			const keys, writers = 4, 4
			key := func(i int) string { return fmt.Sprintf("%s/%d", t.Name(), i) }
			fleet := []*loader.Loader[string]{process(t, nodes, db, policy()), process(t, nodes, db, policy())}
			for round := range scaled(8) {
				var wg sync.WaitGroup
				for who := range writers {
					wg.Go(func() {
						l := fleet[who%len(fleet)]
						for n := range 8 {
							var err error
							switch k := key(rand.IntN(keys)); rand.IntN(8) {
							case 0:
								err = l.Delete(ctx, k)
							case 1, 2, 3:
								if _, err = l.Get(ctx, k); errors.Is(err, loader.ErrNotFound) {
									err = nil
								}
							default:
								err = l.Put(ctx, k, fmt.Sprintf("%d.%d.%d", round, who, n))
							}
							if err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				flushed(t, fleet...)
				for i := range keys {
					want, wantErr := db.Row(ctx, key(i))
					for _, l := range fleet {
						got, err := l.Get(ctx, key(i))
						require.Equal(t, want, got, "round %d", round)
						require.ErrorIs(t, err, wantErr)
					}
				}
			}
		})
	})
}
