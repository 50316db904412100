package loader_test

import (
	"context"
	"fmt"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A tenant's prices are replaced by a nightly import, which knows no keys: all that is
// cached of them goes at once.
func ExampleNamespace() {
	node, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	c, err := client.New(client.Config{Nodes: ring.Addrs(node.Addr().String())})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	price := 10 // in the database
	prices, err := loader.NewNamespace(c, loader.Config[int]{
		Load: func(context.Context, string) (int, error) { return price, nil },
	}, loader.NamespaceConfig{Name: "tenant42"})
	if err != nil {
		panic(err)
	}
	defer prices.Close()
	ctx := context.Background()
	before, err := prices.Get(ctx, "apples")
	if err != nil {
		panic(err)
	}
	price = 12 // the import
	if err := prices.InvalidateAll(ctx); err != nil {
		panic(err)
	}
	after, err := prices.Get(ctx, "apples")
	if err != nil {
		panic(err)
	}
	fmt.Println(before, after)
	// Output: 10 12
}
