package pgserver

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ TB = testing.TB(nil)

// ask returns what the server says to a query of one text.
func ask(t *testing.T, s *Server, query string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN())
	require.NoError(t, err)
	defer conn.Close(ctx)
	var said string
	require.NoError(t, conn.QueryRow(ctx, query).Scan(&said))
	return said
}

func do(t *testing.T, s *Server, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN())
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	require.NoError(t, err)
}

func TestLifeOfAServer(t *testing.T) {
	s := ForTest(t, "max_connections=20")
	require.Equal(t, "20", ask(t, s, "SHOW max_connections"))
	require.Equal(t, "on", ask(t, s, "SHOW fsync"))
	do(t, s, "CREATE TABLE t AS SELECT 'committed' AS v")
	require.NoError(t, s.Crash())
	require.NoError(t, s.Crash(), "crashing twice")
	_, err := pgx.Connect(context.Background(), s.DSN())
	require.Error(t, err)
	require.NoError(t, s.Launch())
	require.Equal(t, "committed", ask(t, s, "SELECT v FROM t"))

	r, err := s.Standby()
	require.NoError(t, err)
	require.Equal(t, "true", ask(t, r, "SELECT pg_is_in_recovery()::text"))
	require.Equal(t, "committed", ask(t, r, "SELECT v FROM t"))
	require.NoError(t, r.Remove())
	_, err = os.Stat(r.dir)
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, s.Stop())
	s.settings = []string{"no_such_setting=1"}
	require.ErrorContains(t, s.Launch(), "no_such_setting", "what the server says of a bad setting is handed on")
}
