// Package origin is what the cache stands in front of: a real SQLite database of
// generated rows, or a synthetic one for replays. Both hand out values that carry
// their key, version and checksum, and count what they were asked.
package origin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/memherd/memherd/bench/internal/value"
)

// ErrNoRow is returned for a key the origin does not have.
var ErrNoRow = errors.New("the origin has no such row")

// SQLite is a database in a folder of its own, which Close removes. All methods may
// be called by many goroutines.
type SQLite struct {
	dir           string
	read, write   *sql.DB
	load, store   *sql.Stmt
	loads, stores atomic.Int64
}

// NewSQLite makes a database of n rows, row i under key(i), holding version 1 of a
// value of minSize to maxSize bytes; the sizes are drawn from seed. tick, if not
// nil, is called now and then with the number of rows written.
func NewSQLite(ctx context.Context, n int, key func(int) string, minSize, maxSize int, seed uint64, tick func(int)) (*SQLite, error) {
	dir, err := os.MkdirTemp("", "memherd-origin-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the database: %w", err)
	}
	s := &SQLite{dir: dir}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the database: %w", err), s.Close())
	}
	if err := s.generate(ctx, n, key, minSize, maxSize, seed, tick); err != nil {
		// A context that ends rolls the transaction back beside us: what we meet then may
		// be a closed statement.
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, errors.Join(fmt.Errorf("cannot generate the database: %w", err), s.Close())
	}
	return s, nil
}

func (s *SQLite) open(ctx context.Context) (err error) {
	// The data lasts as long as the process: no waiting for the disk. WAL lets
	// readers read while the one writer SQLite allows writes.
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(OFF)", "busy_timeout(10000)", "cache_size(-65536)"}}
	dsn := "file:" + filepath.ToSlash(filepath.Join(s.dir, "rows.db")) + "?" + q.Encode()
	if s.write, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if _, err = s.write.ExecContext(ctx, `CREATE TABLE rows (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID`); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	// Idle connections are kept, or each burst of misses would open files anew.
	s.read.SetMaxOpenConns(2 * runtime.GOMAXPROCS(0))
	s.read.SetMaxIdleConns(2 * runtime.GOMAXPROCS(0))
	if s.load, err = s.read.PrepareContext(ctx, `SELECT body FROM rows WHERE key = ?`); err != nil {
		return err
	}
	s.store, err = s.write.PrepareContext(ctx, `UPDATE rows SET body = ? WHERE key = ?`)
	return err
}

func (s *SQLite) generate(ctx context.Context, n int, key func(int) string, minSize, maxSize int, seed uint64, tick func(int)) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, `INSERT INTO rows (key, body) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	r := rand.New(rand.NewPCG(seed, 0x0419))
	for i := range n {
		k := key(i)
		if _, err := insert.ExecContext(ctx, k, value.Make(k, 1, minSize+r.IntN(maxSize-minSize+1))); err != nil {
			return err
		}
		if tick != nil && (i+1)%5000 == 0 {
			tick(i + 1)
		}
	}
	return tx.Commit()
}

// Load reads one row: one SELECT. ErrNoRow if there is none.
func (s *SQLite) Load(ctx context.Context, key string) ([]byte, error) {
	s.loads.Add(1)
	var body []byte
	err := s.load.QueryRowContext(ctx, key).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoRow
	}
	return body, err
}

// Store overwrites one row: one UPDATE. ErrNoRow if there is none.
func (s *SQLite) Store(ctx context.Context, key string, body []byte) error {
	s.stores.Add(1)
	res, err := s.store.ExecContext(ctx, body, key)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return ErrNoRow
	}
	return nil
}

// Loads is how many rows were asked for, Stores how many were written.
func (s *SQLite) Loads() int64 { return s.loads.Load() }

// Stores is how many writes the origin was asked for.
func (s *SQLite) Stores() int64 { return s.stores.Load() }

// Close closes the database and removes its folder.
func (s *SQLite) Close() error {
	var errs []error
	for _, st := range []*sql.Stmt{s.load, s.store} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
