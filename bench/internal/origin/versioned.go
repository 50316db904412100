package origin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
)

// ErrNewer is returned for a row whose version at the origin is newer than what was to be written.
var ErrNewer = errors.New("the origin has a newer version of the row")

// Row is a row of a Versioned.
type Row struct{ Key, Body, Version string }

// Versioned is an SQLite database that several processes write, one of which may be
// killed at any time. It keeps the version of each row, and a log of all writes. It
// may be used by many goroutines.
type Versioned struct {
	db      *sql.DB
	guarded bool
}

// OpenVersioned opens the database in the file path, or makes it. guarded has it refuse
// to replace a row by one with a version that sorts before its own.
func OpenVersioned(path string, guarded bool) (*Versioned, error) {
	// What the kernel has of a killed process's writes is not lost: no waiting for the disk.
	// A transaction that will write says so when it begins, and so waits for its turn there.
	q := url.Values{"_pragma": {"busy_timeout(20000)", "journal_mode(WAL)", "synchronous(OFF)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("cannot open the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range []string{
		`CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, body TEXT NOT NULL, version TEXT NOT NULL) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS writes (id INTEGER PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL)`,
	} {
		if _, err := db.Exec(s); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot make the database: %w", err), db.Close())
		}
	}
	return &Versioned{db, guarded}, nil
}

// Load returns the row of key, ErrNoRow if there is none.
func (v *Versioned) Load(ctx context.Context, key string) (Row, error) {
	r := Row{Key: key}
	err := v.db.QueryRowContext(ctx, `SELECT body, version FROM rows WHERE key = ?`, key).Scan(&r.Body, &r.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return r, ErrNoRow
	}
	return r, err
}

// Store writes all rows or none. ErrNewer is about any of them.
func (v *Versioned) Store(ctx context.Context, rows ...Row) error {
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	upsert := `INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body, version = excluded.version`
	if v.guarded {
		upsert += ` WHERE excluded.version >= rows.version`
	}
	put, err := tx.PrepareContext(ctx, upsert)
	if err != nil {
		return err
	}
	defer put.Close()
	log, err := tx.PrepareContext(ctx, `INSERT INTO writes (key, body) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	defer log.Close()
	for _, r := range rows {
		res, err := put.ExecContext(ctx, r.Key, r.Body, r.Version)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNewer)
		}
		if _, err := log.ExecContext(ctx, r.Key, r.Body); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Writes calls f for every write that was made, in order.
func (v *Versioned) Writes(ctx context.Context, f func(key, body string) error) error {
	rows, err := v.db.QueryContext(ctx, `SELECT key, body FROM writes ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, body string
		if err := rows.Scan(&key, &body); err != nil {
			return err
		}
		if err := f(key, body); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Close closes the database.
func (v *Versioned) Close() error { return v.db.Close() }
