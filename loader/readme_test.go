package loader_test

import (
	"context"
	"fmt"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// User is what the README's example keeps.
type User struct{ Name string }

func loadUserFromDB(_ context.Context, key string) (User, error) {
	return User{Name: "Ada (" + key + ")"}, nil
}

func storeUserInDB(context.Context, string, User) error { return nil }

// Example_readme is the code of README.md, line by line; a test in bench holds the two
// together. Only the nodes differ: these run inside the test.
func Example_readme() {
	var addrs []string
	for range 3 {
		n, err := nodeserver.Start(nodeserver.Config{})
		if err != nil {
			panic(err)
		}
		defer n.Close()
		addrs = append(addrs, n.Addr().String())
	}
	if err := readme(context.Background(), addrs...); err != nil {
		panic(err)
	}
	// Output: Grace <nil>
}

func readme(ctx context.Context, addrs ...string) error {
	c, err := client.New(client.Config{
		Nodes:             ring.Addrs(addrs...), // "10.0.0.1:11211", "10.0.0.2:11211", …
		ReplicationFactor: 2,
		HotKeys:           &hotkey.Config{}, // near-cache for the hottest keys, at most 50 ms stale
	})
	if err != nil {
		return err
	}
	defer c.Close()
	users, err := loader.New(c, loader.Config[User]{
		Prefix: "user:",
		TTL:    10 * time.Minute,
		Load:   loadUserFromDB, // func(ctx context.Context, key string) (User, error)
		Store:  storeUserInDB,  // func(ctx context.Context, key string, u User) error
		Write:  loader.WriteThrough,
	})
	if err != nil {
		return err
	}
	defer users.Close()

	if err := users.Put(ctx, "42", User{Name: "Grace"}); err != nil { // database, then every copy
		return err
	}
	u, err := users.Get(ctx, "42") // near-cache → owner → replica → one load in the whole fleet
	fmt.Println(u.Name, err)
	return err
}
