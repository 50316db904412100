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

// A node is replaced: its successor is announced first, and reads go over to it when all
// clients have heard of it.
func ExampleClient_SetNodes() {
	c, err := client.New(client.Config{Nodes: ring.Addrs("10.0.0.1", "10.0.0.2", "10.0.0.3")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if err := c.SetNodes(ring.Addrs("10.0.0.1", "10.0.0.2", "10.0.0.4")); err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range c.Nodes() {
		switch {
		case n.Joining:
			fmt.Println(n.Node.Name, "joins")
		case n.Leaving:
			fmt.Println(n.Node.Name, "leaves; keep it running")
		default:
			fmt.Println(n.Node.Name)
		}
	}
	// Output:
	// 10.0.0.1
	// 10.0.0.2
	// 10.0.0.3 leaves; keep it running
	// 10.0.0.4 joins
}

// Two programs that change one value: whoever comes second begins again.
func ExampleClient_CompareAndSwap() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if _, err = c.Set(ctx, client.Item{Key: "members", Value: []byte("ann")}); err != nil {
		panic(err)
	}

	mine, err := c.Gets(ctx, "members")
	if err != nil {
		panic(err)
	}
	theirs := mine
	theirs.Value = []byte("ann,bob")
	_, err = c.CompareAndSwap(ctx, theirs)
	fmt.Println(err)
	mine.Value = []byte("ann,eve")
	_, err = c.CompareAndSwap(ctx, mine)
	fmt.Println(errors.Is(err, client.ErrCASConflict))
	// Output:
	// <nil>
	// true
}

func ExampleClient_GetWith() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if _, err = c.Set(ctx, client.Item{Key: "session", Value: []byte("ann"), TTL: time.Hour}); err != nil {
		panic(err)
	}

	// Read the session, and let it live a day from now on.
	it, info, err := c.GetWith(ctx, "session", client.GetOptions{Touch: true, TTL: 24 * time.Hour})
	fmt.Println(string(it.Value), it.TTL, info.TTL <= time.Hour, info.Hit, err)
	// Output:
	// ann 24h0m0s true false <nil>
}

// Keys that no memcached takes as they are: with spaces, or over 250 bytes long.
func ExampleKeyForm() {
	nodes, stop := start()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: nodes, Keys: client.AnyKeys})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	_, err = c.Set(ctx, client.Item{Key: "GET /search?q=two words", Value: []byte("page")})
	fmt.Println(err)
	it, err := c.Get(ctx, "GET /search?q=two words")
	fmt.Println(string(it.Value), err)
	// Output:
	// <nil>
	// page <nil>
}

// An Append that was not sent may be sent again; one that may have run must not.
func ExampleSafeToRetry() {
	nodes, stop := start()
	stop() // nobody is there
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	_, err = c.Append(context.Background(), client.Item{Key: "log", Value: []byte("line\n")})
	var failure *client.Error
	fmt.Println(errors.As(err, &failure), failure.Op, failure.Sent, client.SafeToRetry(err))
	// Output:
	// true append not sent true
}
