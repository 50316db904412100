package table_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/table"
)

// Write-back's write is on its way while another process, by another policy, writes the
// same rows: the table keeps the newer ones, and both processes read what it keeps.
func TestTheTableKeepsTheNewerWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, db *table.Table) {
		for name, many := range map[string]bool{"one by one": false, "in one transaction": true} {
			t.Run(name, func(t *testing.T) {
				nodes, ctx := fleet(t), context.Background()
				gate := make(chan struct{}) // closed when the origin may be written
				late := process(t, nodes, db, back(t, db), func(c *loader.Config[string]) {
					c.Back.Workers = 1
					c.Store = func(ctx context.Context, key, body string) error {
						<-gate
						return db.Store(ctx, key, body)
					}
					c.Back.StoreMany = nil
					if many {
						c.Back.StoreMany = func(ctx context.Context, ws []loader.Write[string]) error {
							<-gate
							return db.StoreMany(ctx, ws)
						}
					}
				})
				other := process(t, nodes, db, by(loader.WriteThrough))
				key := func(i int) string { return fmt.Sprintf("%s/%d", t.Name(), i) }
				for i := range 10 {
					require.NoError(t, late.Put(ctx, key(i), "late"))
				}
				for i := 0; i < 10; i += 2 {
					require.NoError(t, other.Put(ctx, key(i), "newer"))
				}
				close(gate)
				flushed(t, late)
				agree(t, db, key, late, other)
				if !many {
					require.EqualValues(t, 5, late.Counters().Back.Refused)
				}
				require.Zero(t, late.Counters().Back.Pending)
			})
		}
	})
}

// agree says that of keys 0 to 9 the even ones are newer and the others late, in the table and for
// every process.
func agree(t *testing.T, db *table.Table, key func(int) string, fleet ...*loader.Loader[string]) {
	t.Helper()
	ctx := context.Background()
	for i := range 10 {
		want := "late"
		if i%2 == 0 {
			want = "newer"
		}
		row, err := db.Row(ctx, key(i))
		require.NoError(t, err)
		require.Equal(t, want, row, "the table")
		for n, l := range fleet {
			v, err := l.Get(ctx, key(i))
			require.NoError(t, err)
			require.Equal(t, want, v, "process %d", n)
		}
	}
}

// A process ends before its writes are in the table; others write; its successor brings what it finds
// in the journal, behind theirs.
func TestReplayBehindOthersWrites(t *testing.T) {
	onBoth(t, func(t *testing.T, db *table.Table) {
		nodes, ctx := fleet(t), context.Background()
		file := filepath.Join(t.TempDir(), "writes.journal")
		key := func(i int) string { return fmt.Sprintf("%s/%d", t.Name(), i) }
		t.Run("dies", func(t *testing.T) {
			stuck := func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }
			l := process(t, nodes, db, back(t, db, file), func(c *loader.Config[string]) {
				c.Store, c.Back.StoreMany, c.Back.DrainTimeout = stuck, nil, -1
			})
			for i := range 10 {
				require.NoError(t, l.Put(ctx, key(i), "late"))
			}
			require.ErrorIs(t, l.Close(), loader.ErrPending)
		})
		other := process(t, nodes, db, by(loader.WriteAround))
		for i := 0; i < 10; i += 2 {
			require.NoError(t, other.Put(ctx, key(i), "newer"))
		}
		successor := process(t, nodes, db, back(t, db, file))
		flushed(t, successor)
		require.EqualValues(t, 10, successor.Counters().Back.Replayed)
		agree(t, db, key, successor, other)
	})
}
