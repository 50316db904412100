package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// A late write of an older version leaves the row as it is, and says so.
func TestAnOlderWriteIsRefused(t *testing.T) {
	ctx := context.Background()
	db, err := open(ctx, filepath.Join(t.TempDir(), "pages.db"))
	require.NoError(t, err)
	defer db.Close()
	now := time.Now()
	write := func(views int, at time.Time) error {
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		defer tx.Rollback()
		if err := put(ctx, tx, loader.Write[Page]{Key: "p", Value: Page{Views: views}, Version: loader.Version{Time: at}}); err != nil {
			return err
		}
		return tx.Commit()
	}
	require.NoError(t, write(2, now))
	require.ErrorIs(t, write(1, now.Add(-time.Millisecond)), loader.ErrSuperseded)
	require.NoError(t, write(2, now), "write-back may write twice")
	views := 0
	require.NoError(t, db.QueryRowContext(ctx, `SELECT views FROM pages WHERE id = 'p'`).Scan(&views))
	require.Equal(t, 2, views)
}
