package journal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A counter of visits that is written to the database behind its callers. The store keeps
// the version beside the value, so that a write that comes late, from this process or
// another, changes nothing.
func Example() {
	node, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	dir, err := os.MkdirTemp("", "visits")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	c, err := client.New(client.Config{Nodes: ring.Addrs(node.Addr().String())})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	j, err := journal.Open(filepath.Join(dir, "visits.journal"))
	if err != nil {
		panic(err)
	}
	defer j.Close() // after the loader

	type row struct{ visits, version string }
	table := map[string]row{} // the database
	visits, err := loader.New(c, loader.Config[string]{
		Codec: loader.String{},
		Load: func(_ context.Context, key string) (string, error) {
			if r, ok := table[key]; ok {
				return r.visits, nil
			}
			return "", loader.ErrNotFound
		},
		// UPDATE … SET visits = ?, version = ? WHERE key = ? AND version < ?
		Store: func(ctx context.Context, key, v string) error {
			version, _ := loader.VersionOf(ctx)
			if table[key].version >= version.String() {
				return loader.ErrSuperseded
			}
			table[key] = row{v, version.String()}
			return nil
		},
		Write: loader.WriteBack,
		Back:  loader.BackConfig[string]{Journal: j},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := visits.Put(ctx, "home", "42"); err != nil { // on disk and in the cache
		panic(err)
	}
	v, err := visits.Get(ctx, "home")
	fmt.Println(v, err)
	if err := visits.Close(); err != nil { // what is pending goes to the database
		panic(err)
	}
	fmt.Println(table["home"].visits)
	var written journal.Stats = j.Stats()
	fmt.Println(written.Records, "record")
	// Output:
	// 42 <nil>
	// 42
	// 1 record
}
