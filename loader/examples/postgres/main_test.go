package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/loader/examples/internal/pgserver"
	"github.com/memherd/memherd/loader/examples/internal/webtest"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) {
	webtest.Child(main)
	goleak.VerifyTestMain(m)
}

// What the package comment says, by two processes over three memcacheds. PostgreSQL itself
// counts what it is asked.
func TestService(t *testing.T) {
	pg := pgserver.ForTest(t, "shared_preload_libraries=pg_stat_statements")
	ctx := context.Background()
	db, err := pgx.Connect(ctx, pg.DSN())
	require.NoError(t, err)
	defer func() { _ = db.Close(ctx) }() // the server has been killed
	_, err = db.Exec(ctx, `CREATE EXTENSION pg_stat_statements`)
	require.NoError(t, err)
	queries := func(of string) (n int) {
		require.NoError(t, db.QueryRow(ctx, `SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE $1`, of).Scan(&n))
		return n
	}
	const one, many = `SELECT name, email FROM users WHERE id = $1`, `SELECT id, name, email FROM users WHERE id = ANY($1)`

	var nodes []string
	for range 3 {
		nodes = append(nodes, stock.ForTest(t).Addr())
	}
	flags := []string{"-db", pg.DSN(), "-nodes", strings.Join(nodes, ",")}
	a, b := webtest.Start(t, flags...), webtest.Start(t, flags...)

	// One query for 200 readers in two processes.
	for id, name := range map[string]string{"1": "Ada", "2": "Grace", "3": "Edsger"} {
		_, err = db.Exec(ctx, `INSERT INTO users VALUES ($1, $2, $3)`, id, name, name+"@example.org")
		require.NoError(t, err)
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			var u User
			status, err := []*webtest.Process{a, b}[i%2].Do("GET", "/users/1", nil, &u)
			if err != nil || status != http.StatusOK || u != (User{"Ada", "Ada@example.org"}) {
				t.Errorf("%v, %d, %+v", err, status, u)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, queries(one))

	// Of three users the two that are not cached come with one query; then none.
	for _, p := range []*webtest.Process{a, b} {
		var found map[string]User
		p.Must(t, http.StatusOK, "GET", "/users?id=1&id=2&id=3&id=4", nil, &found)
		require.Len(t, found, 3)
		require.Equal(t, "Edsger", found["3"].Name)
	}
	require.Equal(t, 1, queries(many))

	// A change is in the table, and seen by both, with no query more.
	a.Must(t, http.StatusOK, "PUT", "/users/1", User{"Ada", "ada@example.com"}, nil)
	var u User
	a.Must(t, http.StatusOK, "GET", "/users/1", nil, &u)
	require.Equal(t, "ada@example.com", u.Email)
	require.Equal(t, 1, queries(one))
	require.NoError(t, db.QueryRow(ctx, `SELECT email FROM users WHERE id = '1'`).Scan(&u.Email))
	require.Equal(t, "ada@example.com", u.Email)

	// What was asked for wrongly, what is not there, what is there no more.
	a.Must(t, http.StatusBadRequest, "PUT", "/users/1", map[string]int{"Shoe": 42}, nil)
	a.Must(t, http.StatusNotFound, "GET", "/users/5", nil, nil)
	b.Must(t, http.StatusOK, "DELETE", "/users/2", nil, nil)
	a.Must(t, http.StatusNotFound, "GET", "/users/2", nil, nil)

	// Without the database, what is cached is served.
	require.NoError(t, pg.Crash())
	b.Must(t, http.StatusOK, "GET", "/users/3", nil, &u)
	require.Equal(t, "Edsger", u.Name)
	b.Must(t, http.StatusServiceUnavailable, "GET", "/users/6", nil, nil)
	b.Must(t, http.StatusServiceUnavailable, "PUT", "/users/3", User{}, nil)
	require.NoError(t, pg.Launch())
	b.Must(t, http.StatusNotFound, "GET", "/users/6", nil, nil)
	b.Must(t, http.StatusOK, "PUT", "/users/6", User{Name: "Barbara"}, nil)
	a.Must(t, http.StatusOK, "GET", "/users/6", nil, &u)
	require.Equal(t, "Barbara", u.Name)
	var counters struct{ Puts uint64 }
	a.Must(t, http.StatusOK, "GET", "/counters", nil, &counters)
	require.EqualValues(t, 1, counters.Puts)
	a.Stop(t)
	b.Stop(t)
}

func TestServiceIsShort(t *testing.T) {
	require.LessOrEqual(t, webtest.Length(t, "main.go", "service"), 60, "that is what the README says")
}

func TestADatabaseThatIsNotThere(t *testing.T) {
	_, err := open(context.Background(), fmt.Sprintf("host=%s user=x dbname=x", t.TempDir()))
	require.ErrorContains(t, err, "-db")
	_, err = open(context.Background(), "port=none")
	require.ErrorContains(t, err, "-db")
}
