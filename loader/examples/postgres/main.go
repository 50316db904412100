// Command postgres serves users from a PostgreSQL table over HTTP, out of memcached as long as
// they are there. One that is missing is queried once, however many ask for it, and in however
// many processes; a change is written to the table and then to memcached. In loader/examples, which is a
// module of its own:
//
//	go run ./postgres -db "host=db user=app dbname=app" -nodes 10.0.0.1:11211,10.0.0.2:11211
//
//	GET    /users/{id}         one user
//	GET    /users?id=1&id=2    many, with one query for those that are not cached
//	PUT    /users/{id}         {"Name":"Ada","Email":"ada@example.org"}
//	DELETE /users/{id}
//	GET    /counters           what the loader has done
package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/web"
	"github.com/memherd/memherd/ring"
)

type User struct{ Name, Email string }

func main() { web.Main("host=localhost user=postgres dbname=postgres", service) }

func service(ctx context.Context, app *web.App) (http.Handler, error) {
	db, err := open(ctx, app.DB)
	if err != nil {
		return nil, err
	}
	app.OnExit(func() error { db.Close(); return nil })
	herd, err := client.New(client.Config{Nodes: ring.Addrs(app.Nodes...), ReplicationFactor: min(2, len(app.Nodes)), HotKeys: &hotkey.Config{}})
	if err != nil {
		return nil, err
	}
	app.OnExit(herd.Close)
	users, err := loader.New(herd, loader.Config[User]{
		Prefix: "user:", TTL: 10 * time.Minute, Write: loader.WriteThrough,
		Freshness: loader.Freshness{Soft: time.Minute, IfError: time.Hour}, // old users rather than none
		Load: func(ctx context.Context, id string) (u User, err error) {
			err = db.QueryRow(ctx, `SELECT name, email FROM users WHERE id = $1`, id).Scan(&u.Name, &u.Email)
			if errors.Is(err, pgx.ErrNoRows) {
				err = loader.ErrNotFound
			}
			return u, err
		},
		LoadMany: func(ctx context.Context, ids []string) (map[string]User, error) {
			rows, _ := db.Query(ctx, `SELECT id, name, email FROM users WHERE id = ANY($1)`, ids) // its error is the rows', too
			found, id, u := make(map[string]User), "", User{}
			_, err := pgx.ForEachRow(rows, []any{&id, &u.Name, &u.Email}, func() error { found[id] = u; return nil })
			return found, err
		},
		Store: func(ctx context.Context, id string, u User) error {
			_, err := db.Exec(ctx, `INSERT INTO users VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET name = $2, email = $3`, id, u.Name, u.Email)
			return err
		},
		Remove: func(ctx context.Context, id string) error {
			_, err := db.Exec(ctx, `DELETE FROM users WHERE id = $1`, id)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	app.OnExit(users.Close)
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", web.Func(func(r *http.Request) (any, error) {
		return users.Get(r.Context(), r.PathValue("id"))
	}))
	mux.Handle("GET /users", web.Func(func(r *http.Request) (any, error) {
		return users.GetMulti(r.Context(), r.URL.Query()["id"])
	}))
	mux.Handle("PUT /users/{id}", web.Put(func(r *http.Request, u User) error {
		return users.Put(r.Context(), r.PathValue("id"), u)
	}))
	mux.Handle("DELETE /users/{id}", web.Func(func(r *http.Request) (any, error) {
		return nil, users.Delete(r.Context(), r.PathValue("id"))
	}))
	mux.Handle("GET /counters", web.Func(func(*http.Request) (any, error) { return users.Counters(), nil }))
	return mux, nil
}
