package gomc_test

import (
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/client/gomc"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func ExampleSelector() {
	srv, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()

	r, err := ring.New(ring.Config{Nodes: ring.Addrs(srv.Addr().String())})
	if err != nil {
		fmt.Println(err)
		return
	}
	mc := memcache.NewFromSelector(gomc.NewSelector(r)) // was memcache.New(servers...)
	defer mc.Close()

	if err := mc.Set(&memcache.Item{Key: "user:42", Value: []byte("Ada")}); err != nil {
		fmt.Println(err)
		return
	}
	it, err := mc.Get("user:42")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(it.Value))
	// Output: Ada
}
