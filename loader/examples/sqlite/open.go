package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/memherd/memherd/loader"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	schema = `CREATE TABLE IF NOT EXISTS pages (id text PRIMARY KEY, title text NOT NULL, views integer NOT NULL, version text NOT NULL)`
	// upsert leaves a row of a newer version as it is, and writes one of the same version again,
	// because write-back may write twice.
	upsert = `INSERT INTO pages VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title, views = excluded.views,
		version = excluded.version WHERE excluded.version >= pages.version`
)

// open opens the database, which syncs what it commits, and makes the file and the table if there are none.
func open(ctx context.Context, path string) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("-db: %w", err)
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("-db: %w", err), db.Close())
	}
	return db, nil
}

// put writes a page. A row that is newer stays, and is an error, so that the cache does not keep what the database has not; the
// others of a StoreMany come one by one then.
func put(ctx context.Context, tx *sql.Tx, w loader.Write[Page]) error {
	res, err := tx.ExecContext(ctx, upsert, w.Key, w.Value.Title, w.Value.Views, w.Version.String())
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, loader.ErrSuperseded)
	}
	return nil
}
