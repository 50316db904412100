package table_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/pgserver"
	"github.com/memherd/memherd/loader/examples/internal/table"
	"github.com/memherd/memherd/loader/journal"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// tests ends the server that the tests share before goleak looks.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	if shared != nil {
		if err := shared.Remove(); err != nil {
			code = 1
		}
	}
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

var (
	once   sync.Once
	shared *pgserver.Server
	failed error
)

// server returns a PostgreSQL that all tests share, because making a database takes
// a second or two. Tests that stop it launch it again.
func server(t *testing.T) *pgserver.Server {
	t.Helper()
	pgserver.Need(t)
	once.Do(func() { shared, failed = pgserver.Start() })
	require.NoError(t, failed)
	return shared
}

// scaled returns n times MEMHERD_SCALE, at least 1.
func scaled(n int) int {
	f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64)
	if err != nil || f <= 0 {
		f = 1
	}
	return max(1, int(float64(n)*f))
}

// onBoth runs a test on an empty table of each kind.
func onBoth(t *testing.T, run func(t *testing.T, db *table.Table)) {
	t.Run("SQLite", func(t *testing.T) {
		db, err := table.OpenSQLite(filepath.Join(t.TempDir(), "texts.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		run(t, db)
	})
	t.Run("PostgreSQL", func(t *testing.T) { run(t, postgres(t, server(t))) })
}

func postgres(t *testing.T, s *pgserver.Server) *table.Table {
	t.Helper()
	db, err := table.OpenPostgres(s.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Clear(context.Background()))
	return db
}

// fleet is three memcacheds, for tests in which nothing is to go wrong with them.
func fleet(t *testing.T) []ring.Node {
	var addrs []string
	for range 3 {
		addrs = append(addrs, stock.ForTest(t).Addr())
	}
	return ring.Addrs(addrs...)
}

// process makes what one process of a fleet has: a client and a loader of its own. The
// near-cache is off, so that what is read is what was written last.
func process(t *testing.T, nodes []ring.Node, db *table.Table, mod ...func(*loader.Config[string])) *loader.Loader[string] {
	t.Helper()
	c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	cfg := loader.Config[string]{Load: db.Load, LoadMany: db.LoadMany, Store: db.Store, Remove: db.Remove, Codec: loader.String{}}
	for _, m := range mod {
		m(&cfg)
	}
	l, err := loader.New(c, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() }) // tests that care close it themselves
	return l
}

func by(p loader.WritePolicy) func(*loader.Config[string]) {
	return func(c *loader.Config[string]) { c.Write = p }
}

// back sets up write-back with a journal in a new file, or in the one given.
func back(t *testing.T, db *table.Table, file ...string) func(*loader.Config[string]) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "writes.journal")
	if len(file) > 0 {
		name = file[0]
	}
	j, err := journal.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return func(c *loader.Config[string]) {
		c.Write = loader.WriteBack
		c.Back = loader.BackConfig[string]{Journal: j, StoreMany: db.StoreMany, MaxBackoff: 100 * time.Millisecond}
	}
}

// every runs a test once for each policy, with processes that write by it.
func every(t *testing.T, db *table.Table, run func(t *testing.T, policy func() func(*loader.Config[string]))) {
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		t.Run(p.String(), func(t *testing.T) {
			run(t, func() func(*loader.Config[string]) { return by(p) })
		})
	}
	t.Run(loader.WriteBack.String(), func(t *testing.T) {
		run(t, func() func(*loader.Config[string]) { return back(t, db) })
	})
}

// flushed waits until what a loader has accepted is in the table.
func flushed(t *testing.T, ls ...*loader.Loader[string]) {
	t.Helper()
	for _, l := range ls {
		require.NoError(t, l.Flush(context.Background()))
	}
}
