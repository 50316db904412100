// Command sqlite serves page views from an SQLite database in its own process over HTTP, out of
// memcached as long as they are there. A change is written to a journal beside the database and to
// memcached, and goes to the database in the background, many in one transaction: what was
// answered survives the process. A row keeps the version of its last write, so that a
// late write changes nothing. In loader/examples, which is a module of its own:
//
//	go run ./sqlite -db pages.db -nodes 10.0.0.1:11211,10.0.0.2:11211
//
//	GET    /pages/{id}      a page
//	PUT    /pages/{id}      {"Title":"Home","Views":42}
//	GET    /counters        what the loader has done
package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/web"
	"github.com/memherd/memherd/loader/journal"
	"github.com/memherd/memherd/ring"
)

type Page struct {
	Title string
	Views int
}

func main() { web.Main("pages.db", service) }

func service(ctx context.Context, app *web.App) (http.Handler, error) {
	db, err := open(ctx, app.DB)
	if err != nil {
		return nil, err
	}
	app.OnExit(db.Close)
	pending, err := journal.Open(app.DB + ".journal")
	if err != nil {
		return nil, err
	}
	app.OnExit(pending.Close)
	herd, err := client.New(client.Config{Nodes: ring.Addrs(app.Nodes...), ReplicationFactor: min(2, len(app.Nodes)), HotKeys: &hotkey.Config{}})
	if err != nil {
		return nil, err
	}
	app.OnExit(herd.Close)
	store := func(ctx context.Context, writes []loader.Write[Page]) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, w := range writes {
			if err := put(ctx, tx, w); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	pages, err := loader.New(herd, loader.Config[Page]{
		Prefix: "page:", TTL: 10 * time.Minute, Write: loader.WriteBack,
		Back: loader.BackConfig[Page]{Journal: pending, StoreMany: store, Workers: 1}, // SQLite has one writer
		Load: func(ctx context.Context, id string) (p Page, err error) {
			err = db.QueryRowContext(ctx, `SELECT title, views FROM pages WHERE id = ?`, id).Scan(&p.Title, &p.Views)
			if errors.Is(err, sql.ErrNoRows) {
				err = loader.ErrNotFound
			}
			return p, err
		},
		Store: func(ctx context.Context, id string, p Page) error {
			version, _ := loader.VersionOf(ctx)
			return store(ctx, []loader.Write[Page]{{Key: id, Value: p, Version: version}})
		},
	})
	if err != nil {
		return nil, err
	}
	app.OnExit(pages.Close)
	mux := http.NewServeMux()
	mux.Handle("GET /pages/{id}", web.Func(func(r *http.Request) (any, error) {
		return pages.Get(r.Context(), r.PathValue("id"))
	}))
	mux.Handle("PUT /pages/{id}", web.Put(func(r *http.Request, p Page) error {
		return pages.Put(r.Context(), r.PathValue("id"), p)
	}))
	mux.Handle("GET /counters", web.Func(func(*http.Request) (any, error) { return pages.Counters(), nil }))
	return mux, nil
}
