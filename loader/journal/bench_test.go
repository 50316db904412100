package journal_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the origin

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// sqliteOrigin is a table on the disk that loses nothing it has confirmed.
func sqliteOrigin(b testing.TB) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "origin")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)")
	require.NoError(b, err)
	db.SetMaxOpenConns(1) // SQLite has one writer; those who wait here cost it nothing
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	_, err = db.Exec("create table users (k text primary key, v text, version text)")
	require.NoError(b, err)
	return db
}

const upsert = "insert into users values (?, ?, ?) on conflict (k) do update set v = excluded.v, version = excluded.version where version < excluded.version"

func storeOne(db *sql.DB) func(context.Context, string, string) error {
	return func(ctx context.Context, key, v string) error {
		version, _ := loader.VersionOf(ctx)
		_, err := db.ExecContext(ctx, upsert, key, v, version.String())
		return err
	}
}

// storeNow is one origin write each, of another version each time: SQLite writes no page, and syncs
// nothing, for a row that stays as it is.
func storeNow(db *sql.DB, value string) func(ctx context.Context, key string) error {
	var seq atomic.Uint64
	return func(ctx context.Context, key string) error {
		_, err := db.ExecContext(ctx, upsert, key, value, loader.Version{Seq: seq.Add(1)}.String())
		return err
	}
}

func storeMany(db *sql.DB) func(context.Context, []loader.Write[string]) error {
	return func(ctx context.Context, ws []loader.Write[string]) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing after Commit
		st, err := tx.PrepareContext(ctx, upsert)
		if err != nil {
			return err
		}
		defer st.Close()
		for _, w := range ws {
			if _, err := st.Exec(w.Key, w.Value, w.Version.String()); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
}

const benchWriters = 64

// spread calls write n times in all from 64 goroutines, and returns how long that took.
func spread(n int, write func(key string) error) time.Duration {
	begun := time.Now()
	var wg sync.WaitGroup
	var done atomic.Int64
	for w := range benchWriters {
		wg.Go(func() {
			for i := 0; done.Add(1) <= int64(n); i++ {
				if err := write(fmt.Sprintf("user:%d:%d", w, i%500)); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begun)
}

// writers is spread of b.N writes, and reports their rate.
func writers(b *testing.B, write func(key string) error) {
	b.ResetTimer()
	took := spread(b.N, write)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/took.Seconds(), "writes/s")
}

// writingBack opens a loader that writes back to db, over a real memcached.
func writingBack(b *testing.B, db *sql.DB) (*loader.Loader[string], *journal.Journal) {
	j, err := journal.Open(filepath.Join(b.TempDir(), "j"))
	require.NoError(b, err)
	c := benchClient(b, ring.Addrs(stock.ForTest(b).Addr()))
	l, err := loader.New(c, loader.Config[string]{
		Load:  func(context.Context, string) (string, error) { return "", loader.ErrNotFound },
		Store: storeOne(db), Codec: loader.String{}, Write: loader.WriteBack,
		Back: loader.BackConfig[string]{Journal: j, StoreMany: storeMany(db), MaxBatch: 1000, Workers: 1},
	})
	require.NoError(b, err)
	return l, j
}

// How many times as fast 64 writers are with write-back as when each writes the origin, SQLite with
// synchronous=FULL, in turns: medians of 31 rounds. Each turn begins with nothing pending. "ratio" is what the writers see: their
// writes are accepted, as lasting as SQLite's, and most of them are on their way to the origin still. "drained" counts the
// time until the origin has them all, too: what can be kept up for ever.
func BenchmarkWriteBackRatio(b *testing.B) {
	value := string(make([]byte, 200))
	l, j := writingBack(b, sqliteOrigin(b))
	store := storeNow(sqliteOrigin(b), value)
	for range b.N {
		const rounds, behind, each = 31, 6400, 640
		all := map[string][]float64{}
		note := func(unit string, v float64) { all[unit] = append(all[unit], v) }
		for range rounds {
			took := spread(behind, func(key string) error { return l.Put(b.Context(), key, value) })
			begun := time.Now()
			require.NoError(b, l.Flush(b.Context()))
			p, d := behind/took.Seconds(), behind/(took+time.Since(begun)).Seconds()
			s := each / spread(each, func(key string) error { return store(b.Context(), key) }).Seconds()
			note("puts/s", p)
			note("drained/s", d)
			note("stores/s", s)
			note("ratio", p/s)
			note("drained", d/s)
		}
		for unit, vs := range all {
			slices.Sort(vs)
			b.ReportMetric(vs[len(vs)/2], unit)
		}
	}
	s := j.Stats()
	b.ReportMetric(float64(s.Syncs)/float64(s.Records), "fsyncs/put")
	require.NoError(b, l.Close())
	require.NoError(b, j.Close())
}

// 64 writers that wait until their write is on the disk: through the journal and a real
// memcached, written back to SQLite meanwhile; to SQLite each; and to the journal alone.
func BenchmarkWriteBack(b *testing.B) {
	value := string(make([]byte, 200))
	b.Run("write-back", func(b *testing.B) {
		db := sqliteOrigin(b)
		l, j := writingBack(b, db)
		writers(b, func(key string) error { return l.Put(b.Context(), key, value) })
		s := j.Stats()
		b.ReportMetric(float64(s.Syncs)/float64(b.N), "fsyncs/write")
		require.NoError(b, l.Flush(b.Context()))
		var rows int
		require.NoError(b, db.QueryRow("select count(*) from users").Scan(&rows))
		require.Positive(b, rows)
		require.NoError(b, l.Close())
		require.NoError(b, j.Close())
	})
	b.Run("origin", func(b *testing.B) {
		store := storeNow(sqliteOrigin(b), value)
		writers(b, func(key string) error { return store(b.Context(), key) })
	})
	b.Run("journal", func(b *testing.B) {
		j, err := journal.Open(filepath.Join(b.TempDir(), "j"))
		require.NoError(b, err)
		writers(b, func(key string) error { return j.Append([]loader.Record{{Key: key, Value: []byte(value)}}) })
		b.ReportMetric(float64(j.Stats().Syncs)/float64(b.N), "fsyncs/write")
		require.NoError(b, j.Close())
	})
}
