package item_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// open starts two embedded nodes with a client over them; every key has two copies.
func open() (*client.Client, func()) {
	var nodes []*nodeserver.Server
	var addrs []string
	for range 2 {
		n, err := nodeserver.Start(nodeserver.Config{})
		if err != nil {
			panic(err)
		}
		nodes, addrs = append(nodes, n), append(addrs, n.Addr().String())
	}
	c, err := client.New(client.Config{Nodes: ring.Addrs(addrs...), ReplicationFactor: 2})
	if err != nil {
		panic(err)
	}
	return c, func() {
		c.Close()
		for _, n := range nodes {
			n.Close()
		}
	}
}

// What a write came to, and where a token read later belongs.
func ExampleItem() {
	c, stop := open()
	defer stop()
	ctx := context.Background()

	var out item.Outcome
	out, err := c.Set(ctx, item.Item{Key: "user:42", Value: []byte("Ada"), Flags: 7, TTL: time.Minute})
	fmt.Println(out.Confirmed, "of", out.Copies, "copies,", out.Owed, "owed,", err)
	it, err := c.Gets(ctx, "user:42")
	fmt.Println(string(it.Value), it.Flags, it.CAS > 0, err)
	var of item.Version = it.Version // the node and its life that the CAS belongs to
	fmt.Println(of.Node != "", of == item.Version{})
	// Output:
	// 2 of 2 copies, 0 owed, <nil>
	// Ada 7 true <nil>
	// true false
}

// A missing key: one caller in the fleet wins the right to fill it, on every copy.
func ExampleLease() {
	c, stop := open()
	defer stop()
	ctx := context.Background()

	l, err := c.Lease(ctx, "report", item.LeaseOptions{TTL: 5 * time.Second})
	if err != nil {
		panic(err)
	}
	fmt.Println(l.State == item.LeaseWon, len(l.Tokens), "of", l.Copies, "copies")
	for _, t := range l.Tokens {
		var token item.Token = t
		fmt.Println(token.Won, token.Kind == item.TokenStub)
	}
	if _, err := c.Fill(ctx, l, item.Item{Value: []byte("loaded"), TTL: time.Hour}); err != nil {
		panic(err)
	}
	l, err = c.Lease(ctx, "report", item.LeaseOptions{})
	fmt.Println(l.State, l.Level == item.FromNode, string(l.Item.Value), err)
	// Output:
	// true 2 of 2 copies
	// true true
	// true true
	// hit true loaded <nil>
}

// A failure says how far the request got; its text never has the key.
func ExampleError() {
	err := error(&item.Error{Op: "append", Node: "cache1", Sent: item.NotSent, Err: item.ErrNodeDown})
	fmt.Println(item.SafeToRetry(err), errors.Is(err, item.ErrNodeDown))
	var failure *item.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Op, failure.Node, failure.Sent)
	}
	// Output:
	// true true
	// append cache1 not sent
}

func ExampleSecret() {
	password := item.Secret("correct horse")
	shown, err := json.Marshal(map[string]any{"password": password})
	fmt.Println(password, string(shown), err)
	// Output: [redacted] {"password":"[redacted]"} <nil>
}

// What a near-cache holds may be read and not changed; Kept is room for what its reader makes of it.
func ExampleNear() {
	near := item.Near{Value: []byte("42"), At: time.Second}
	fmt.Println(string(near.Value), near.At < time.Hour, near.Kept == nil)
	// Output: 42 true true
}

func ExampleUntil() {
	fmt.Println(item.Until(time.Now().Add(-time.Second)) == item.Expired)
	// Output: true
}
