package gomc_test

import (
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/gomc"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// nodes starts embedded nodes.
func nodes(n int) (addrs []string, stop func()) {
	var servers []*nodeserver.Server
	for range n {
		srv, err := nodeserver.Start(nodeserver.Config{})
		if err != nil {
			panic(err)
		}
		servers = append(servers, srv)
		addrs = append(addrs, srv.Addr().String())
	}
	return addrs, func() {
		for _, srv := range servers {
			srv.Close()
		}
	}
}

func ExampleClient() {
	servers, stop := nodes(2)
	defer stop()
	mc, err := gomc.NewServers(servers...) // was memcache.New
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mc.Close()

	if err := mc.Set(&memcache.Item{Key: "user:42", Value: []byte("Ada"), Expiration: 600}); err != nil {
		fmt.Println(err)
		return
	}
	it, err := mc.Get("user:42")
	if err != nil {
		fmt.Println(err)
		return
	}
	it.Value = []byte("Ada Lovelace")
	fmt.Println(mc.CompareAndSwap(it))
	_, err = mc.Get("user:43")
	fmt.Println(err == memcache.ErrCacheMiss)
	// Output:
	// <nil>
	// true
}

func ExampleDual() {
	servers, stop := nodes(2)
	defer stop()
	before := memcache.New(servers...)
	if err := before.Set(&memcache.Item{Key: "user:42", Value: []byte("Ada")}); err != nil {
		fmt.Println(err)
		return
	}

	mc, err := gomc.NewServers(servers...)
	if err != nil {
		fmt.Println(err)
		return
	}
	cache, err := gomc.NewDual(gomc.DualConfig{
		Old:   memcache.New(servers...),
		New:   mc,
		Stage: gomc.OldFirst,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	for _, stage := range []gomc.Stage{gomc.OldFirst, gomc.NewFirst, gomc.NewOnly} {
		if err := cache.SetStage(stage); err != nil { // all processes, one stage after the other
			fmt.Println(err)
		}
		it, err := cache.Get("user:42")
		fmt.Println(string(it.Value), err)
	}
	// Output:
	// Ada <nil>
	// Ada <nil>
	// Ada <nil>
}

// From mcrouter: the proxy is the old placement, the nodes behind it are the new one.
func Example_fromMcrouter() {
	proxy, stopProxy := nodes(1) // stands for mcrouter on 127.0.0.1:5000
	defer stopProxy()
	servers, stop := nodes(2)
	defer stop()
	mcrouter := proxy[0]

	direct, err := gomc.NewServers(servers...)
	if err != nil {
		fmt.Println(err)
		return
	}
	cache, err := gomc.NewDual(gomc.DualConfig{
		Old:   memcache.New(mcrouter), // 127.0.0.1:5000
		New:   direct,
		Stage: gomc.NewFirst,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	_, err = cache.Get("user:42")
	fmt.Println(err)
	fmt.Println(cache.Set(&memcache.Item{Key: "user:42", Value: []byte("Ada")}))
	it, err := direct.Get("user:42")
	fmt.Println(string(it.Value), err)
	// Output:
	// memcache: cache miss
	// <nil>
	// Ada <nil>
}

// A fleet shared with programs in other languages: the placement stays.
func Example_fromKetama() {
	mc, err := gomc.New(gomc.Config{Client: client.Config{
		Nodes:     ring.Addrs("10.0.0.1:11211", "10.0.0.2:11211"),
		Placement: ring.Ketama,
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mc.Close()
	fmt.Println(len(mc.Memherd().Nodes()))
	// Output: 2
}
