package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/loader/examples/internal/webtest"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) {
	webtest.Child(main)
	goleak.VerifyTestMain(m)
}

// What the package comment says, with a process that is killed in the middle.
func TestService(t *testing.T) {
	var nodes []string
	for range 3 {
		nodes = append(nodes, stock.ForTest(t).Addr())
	}
	file, ctx := filepath.Join(t.TempDir(), "pages.db"), context.Background()
	flags := []string{"-db", file, "-nodes", strings.Join(nodes, ",")}
	p := webtest.Start(t, flags...)
	db, err := open(ctx, file)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()

	// One query for many readers.
	_, err = db.ExecContext(ctx, upsert, "home", "Home", 41, "")
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			var page Page
			status, err := p.Do("GET", "/pages/home", nil, &page)
			if err != nil || status != http.StatusOK || page != (Page{"Home", 41}) {
				t.Errorf("%v, %d, %+v", err, status, page)
			}
		})
	}
	wg.Wait()
	var counters struct{ Loads uint64 }
	p.Must(t, http.StatusOK, "GET", "/counters", nil, &counters)
	require.EqualValues(t, 1, counters.Loads)

	// Each key has a writer; the process is killed while they write. What was answered last, or
	// what was under way then, is what its successor reads.
	const writers, kill = 8, 300
	var answered sync.Map
	killed := make(chan struct{}, writers*kill)
	for who := range writers {
		wg.Go(func() {
			for n := 1; ; n++ {
				status, err := p.Do("PUT", fmt.Sprint("/pages/", who), Page{"Page", n}, nil)
				if err != nil {
					return
				}
				if status != http.StatusOK {
					t.Errorf("status %d", status)
					return
				}
				answered.Store(who, n)
				killed <- struct{}{}
			}
		})
	}
	for range kill {
		<-killed
	}
	p.Kill()
	wg.Wait()
	p = webtest.Start(t, flags...)
	last := make(map[int]int)
	for who := range writers {
		var page Page
		p.Must(t, http.StatusOK, "GET", fmt.Sprint("/pages/", who), nil, &page)
		n, _ := answered.Load(who)
		require.Contains(t, []any{n, n.(int) + 1}, page.Views)
		last[who] = page.Views
	}
	p.Must(t, http.StatusBadRequest, "PUT", "/pages/home", map[string]int{"Shoe": 42}, nil)
	p.Must(t, http.StatusNotFound, "GET", "/pages/none", nil, nil)

	// When it ends in order the table has everything.
	p.Stop(t)
	for who, want := range last {
		var views int
		require.NoError(t, db.QueryRowContext(ctx, `SELECT views FROM pages WHERE id = ?`, fmt.Sprint(who)).Scan(&views))
		require.Equal(t, want, views)
	}
}

func TestServiceIsShort(t *testing.T) {
	require.LessOrEqual(t, webtest.Length(t, "main.go", "service"), 60, "that is what the README says")
}

func TestADatabaseThatCannotBe(t *testing.T) {
	_, err := open(context.Background(), filepath.Join(t.TempDir(), "none", "pages.db"))
	require.ErrorContains(t, err, "-db")
}
