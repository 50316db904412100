package timing_test

import (
	"context"
	"fmt"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func ExampleClient() {
	srv, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	c, err := client.New(client.Config{Nodes: ring.Addrs(srv.Addr().String())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	timed, err := timing.New(timing.Config{Client: c, Every: 1}) // hand timed to loader.New
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 10 {
		timed.Get(context.Background(), "user:42")
	}
	l := timed.Latency(timing.Get)
	fmt.Println(l.Count, l.Quantile(0.5) > 0)
	var sum uint64
	for _, b := range l.Buckets {
		var bucket timing.Bucket = b
		sum += bucket.Count
	}
	fmt.Println(sum)
	// Output:
	// 10 true
	// 10
}
