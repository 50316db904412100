package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// start runs two embedded nodes; a program would name its memcached servers.
func start() (nodes []ring.Node, stop func()) {
	var servers []*nodeserver.Server
	var addrs []string
	for range 2 {
		s, err := nodeserver.Start(nodeserver.Config{})
		if err != nil {
			panic(err)
		}
		servers, addrs = append(servers, s), append(addrs, s.Addr().String())
	}
	return ring.Addrs(addrs...), func() {
		for _, s := range servers {
			s.Close()
		}
	}
}

func ExampleNew() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()

	c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	out, err := c.Set(ctx, client.Item{Key: "greeting", Value: []byte("hello"), TTL: time.Minute})
	fmt.Println(out.Confirmed, "copies,", err)
	it, err := c.Get(ctx, "greeting")
	fmt.Println(string(it.Value), err)
	_, err = c.Get(ctx, "nothing")
	fmt.Println(errors.Is(err, client.ErrCacheMiss))
	// Output:
	// 2 copies, <nil>
	// hello <nil>
	// true
}

func ExampleClient_GetMulti() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	_, err = c.SetMulti(ctx, []client.Item{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}})
	fmt.Println(err)
	found, err := c.GetMulti(ctx, []string{"a", "b", "missing"})
	fmt.Println(len(found), string(found["b"].Value), err)
	// Output:
	// <nil>
	// 2 2 <nil>
}

// A loader does this for you: package loader.
func ExampleClient_Lease() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	mine, err := c.Lease(ctx, "report", client.LeaseOptions{})
	fmt.Println(mine.State, err) // this caller is to load it
	others, err := c.Lease(ctx, "report", client.LeaseOptions{})
	fmt.Println(others.State, err) // everybody else waits
	_, err = c.Fill(ctx, mine, client.Item{Value: []byte("loaded"), TTL: time.Hour})
	fmt.Println(err)
	again, err := c.Lease(ctx, "report", client.LeaseOptions{})
	fmt.Println(again.State, string(again.Item.Value), err)
	// Output:
	// won <nil>
	// wait <nil>
	// <nil>
	// hit loaded <nil>
}

func ExampleClient_Count() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	visit := client.Counter{Key: "visits", Delta: 1, Create: true, Initial: 1, TTL: time.Hour}
	for range 3 {
		n, err := c.Count(ctx, visit)
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

func ExampleHooks() {
	nodes, stop := start()
	c, err := client.New(client.Config{Nodes: nodes[:1], Hooks: client.Hooks{
		NodeDown: func(node string, cause error) { fmt.Println("a node is down") },
	}})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	stop()
	_, err = c.Get(context.Background(), "k")
	fmt.Println(errors.Is(err, client.ErrNodeDown), client.SafeToRetry(err))
	// Output:
	// a node is down
	// true true
}
