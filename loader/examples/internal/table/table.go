package table

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/memherd/memherd/loader"
)

// schema suits both. COLLATE "C" would be PostgreSQL's way to say that versions are
// compared byte by byte; the test's database does so anyway, and SQLite always.
const schema = `CREATE TABLE IF NOT EXISTS texts (key text PRIMARY KEY, body text NOT NULL, version text NOT NULL)`

const (
	upsert = `INSERT INTO texts VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET body = excluded.body, version = excluded.version`
	// newer leaves a row of a newer version as it is. One of the same version is written
	// again, because write-back may write twice.
	newer = upsert + ` WHERE excluded.version >= texts.version`
)

// Table is the table, with the functions that a loader.Config[string] asks for. It may be
// used by many goroutines, and by many processes at once.
type Table struct {
	db       *sql.DB
	postgres bool

	Loads, ManyLoads atomic.Int64 // queries of one row and of many
}

// OpenSQLite opens the table in the file path, or makes it. It syncs what it commits.
func OpenSQLite(path string) (*Table, error) {
	q := url.Values{"_pragma": {"busy_timeout(20000)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?"+q.Encode())
	return open(db, err, false)
}

// OpenPostgres opens the table in the database that dsn names, or makes it.
func OpenPostgres(dsn string) (*Table, error) {
	db, err := sql.Open("pgx", dsn)
	return open(db, err, true)
}

// Replica opens the table on a server that only reads.
func Replica(dsn string) (*Table, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return &Table{db: db, postgres: true}, nil
}

func open(db *sql.DB, err error, postgres bool) (*Table, error) {
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("table: %w", err), db.Close())
	}
	return &Table{db: db, postgres: postgres}, nil
}

// Close closes the table's connections.
func (t *Table) Close() error { return t.db.Close() }

// Load is for loader.Config.Load.
func (t *Table) Load(ctx context.Context, key string) (body string, err error) {
	t.Loads.Add(1)
	return t.Row(ctx, key)
}

// Row is Load, uncounted.
func (t *Table) Row(ctx context.Context, key string) (body string, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT body FROM texts WHERE key = $1`, key).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return "", loader.ErrNotFound
	}
	return body, err
}

// LoadMany is for loader.Config.LoadMany.
func (t *Table) LoadMany(ctx context.Context, keys []string) (map[string]string, error) {
	t.ManyLoads.Add(1)
	query, list := `SELECT key, body FROM texts WHERE key = ANY($1)`, any(keys)
	if !t.postgres {
		b, err := json.Marshal(keys)
		if err != nil {
			return nil, err
		}
		query, list = `SELECT key, body FROM texts WHERE key IN (SELECT value FROM json_each($1))`, string(b)
	}
	rows, err := t.db.QueryContext(ctx, query, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[string]string, len(keys))
	for rows.Next() {
		var key, body string
		if err := rows.Scan(&key, &body); err != nil {
			return nil, err
		}
		found[key] = body
	}
	return found, rows.Err()
}

// Store is for loader.Config.Store. A write of write-back that is older than the row is
// refused; others get a version of this moment.
func (t *Table) Store(ctx context.Context, key, body string) error {
	v, late := loader.VersionOf(ctx)
	if !late {
		return t.Put(ctx, key, body)
	}
	res, err := t.db.ExecContext(ctx, newer, key, body, v.String())
	return superseded(res, err)
}

// Put writes a row whatever it was, as a program that knows nothing of the cache would.
func (t *Table) Put(ctx context.Context, key, body string) error {
	_, err := t.db.ExecContext(ctx, upsert, key, body, loader.Version{Time: time.Now()}.String())
	return err
}

// superseded says what became of a write that leaves newer rows as they are.
func superseded(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	switch n, err := res.RowsAffected(); {
	case err != nil:
		return err
	case n == 0:
		return loader.ErrSuperseded
	}
	return nil
}

// StoreMany is for loader.BackConfig.StoreMany: one transaction, which leaves newer rows
// as they are, and says that it has left some.
func (t *Table) StoreMany(ctx context.Context, writes []loader.Write[string]) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after Commit
	put, err := tx.PrepareContext(ctx, newer)
	if err != nil {
		return err
	}
	defer put.Close()
	var left error
	for _, w := range writes {
		err := superseded(put.ExecContext(ctx, w.Key, w.Value, w.Version.String()))
		switch {
		case errors.Is(err, loader.ErrSuperseded):
			left = err
		case err != nil:
			return err
		}
	}
	return errors.Join(tx.Commit(), left)
}

// Remove is for loader.Config.Remove. Write-back's leaves a newer row as it is; a row that
// is not there is removed already.
func (t *Table) Remove(ctx context.Context, key string) error {
	v, late := loader.VersionOf(ctx)
	if !late {
		_, err := t.db.ExecContext(ctx, `DELETE FROM texts WHERE key = $1`, key)
		return err
	}
	_, err := t.db.ExecContext(ctx, `DELETE FROM texts WHERE key = $1 AND version <= $2`, key, v.String())
	if err != nil {
		return err
	}
	switch _, err := t.Row(ctx, key); {
	case err == nil:
		return loader.ErrSuperseded
	case !errors.Is(err, loader.ErrNotFound):
		return err
	}
	return nil
}

// Locked puts a row in a transaction that holds the row's lock while during runs.
func (t *Table) Locked(ctx context.Context, key, body string, during func()) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after Commit
	if _, err := tx.ExecContext(ctx, upsert, key, body, loader.Version{Time: time.Now()}.String()); err != nil {
		return err
	}
	during()
	return tx.Commit()
}

// Clear empties the table.
func (t *Table) Clear(ctx context.Context) error {
	_, err := t.db.ExecContext(ctx, `DELETE FROM texts`)
	return err
}
