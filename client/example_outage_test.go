package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// One copy of each key, and a spare machine that stands in for a node that is down.
func ExampleConfig_gutter() {
	node, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		panic(err)
	}
	standIn, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		panic(err)
	}
	defer standIn.Close()
	c, err := client.New(client.Config{Nodes: ring.Addrs(node.Addr().String()), Gutter: ring.Addrs(standIn.Addr().String())})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Ping(ctx); err != nil {
		panic(err)
	}

	node.Close()
	for {
		out, err := c.Set(ctx, client.Item{Key: "price", Value: []byte("12"), TTL: time.Hour})
		if err == nil && out.Gutter {
			break // the client has noticed that the node is down
		}
	}
	it, err := c.Get(ctx, "price")
	fmt.Println(string(it.Value), err, it.TTL <= client.DefaultGutterTTL)
	// Output: 12 <nil> true
}

// Reads that take much longer than most ask the key's other copy, too.
func ExampleConfig_hedgedReads() {
	nodes, stop := start()
	defer stop()
	c, err := client.New(client.Config{
		Nodes: nodes, ReplicationFactor: 2,
		HedgeAfter: client.HedgeAuto, // or a time of your own
	})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Set(ctx, client.Item{Key: "price", Value: []byte("12")}); err != nil {
		panic(err)
	}
	for range 1000 {
		if _, err := c.Get(ctx, "price"); err != nil {
			panic(err)
		}
	}
	fmt.Println("at most a twentieth, and 64:", c.Counters().Hedged <= 1000/20+64)
	// Output: at most a twentieth, and 64: true
}
