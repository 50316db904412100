package ring_test

import (
	"errors"
	"fmt"

	"github.com/memherd/memherd/ring"
)

func Example() {
	r, err := ring.New(ring.Config{
		Nodes:  ring.Addrs("10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"),
		Copies: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, n := range r.Lookup("user:42") {
		fmt.Println(i, r.Node(n).Addr)
	}
	// Output:
	// 0 10.0.0.3:11211
	// 1 10.0.0.2:11211
}

func ExampleNew_duplicate() {
	_, err := ring.New(ring.Config{Nodes: ring.Addrs("cache1", "cache2", "cache1:11211")})
	fmt.Println(errors.Is(err, ring.ErrDuplicateNode))
	fmt.Println(err)
	// Output:
	// true
	// ring: duplicate node: name "cache1" is listed twice; every node needs a name of its own
}

func ExampleConfig() {
	// Two copies in two zones; the large node takes twice the keys of the others, and
	// cache4 is on its way out.
	r, err := ring.New(ring.Config{
		Nodes: []ring.Node{
			{Addr: "cache1", Zone: "east"},
			{Addr: "cache2", Zone: "west"},
			{Addr: "cache3", Zone: "west", Weight: 2},
			{Addr: "cache4", Zone: "east", Drain: true},
		},
		Copies: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, share := range r.Shares() {
		fmt.Printf("%s owns %.0f %%\n", r.Node(uint16(i)).Name, 100*share)
	}
	// Output:
	// cache1 owns 25 %
	// cache2 owns 25 %
	// cache3 owns 50 %
	// cache4 owns 0 %
}

func ExampleRing() {
	before, _ := ring.New(ring.Config{Nodes: ring.Addrs("cache1", "cache2", "cache3"), Copies: 2})
	after, _ := ring.New(ring.Config{Nodes: ring.Addrs("cache1", "cache3"), Copies: 2})
	// A key of the node that left goes to the node that had its second copy.
	for i := range 100 {
		key := fmt.Sprint("user:", i)
		list := before.Lookup(key)
		owner := before.Node(list[0])
		if owner.Name == "cache2" {
			owner = before.Node(list[1])
		}
		if after.Owner(key) != owner {
			fmt.Println(key, "has moved without need")
		}
	}
	fmt.Println(before.Fingerprint() == after.Fingerprint())
	// Output:
	// false
}

func ExampleNode_Canonical() {
	n, err := ring.Node{Addr: "Cache1:11211"}.Canonical()
	fmt.Println(n.Name, n.Addr, n.Weight, err)
	// Output:
	// cache1 cache1:11211 1 <nil>
}

func ExampleAddrs() {
	fmt.Println(len(ring.Addrs("cache1", "/run/memcached.sock")))
	// Output:
	// 2
}

func ExamplePlacement() {
	var p ring.Placement
	err := p.UnmarshalText([]byte("classic"))
	fmt.Println(p, err)
	// Output:
	// classic <nil>
}

// The nodes of a twemproxy pool with "distribution: ketama", "hash: md5" and
// "hash_tag: "{}"", in which servers have names.
func ExampleConfig_ketama() {
	r, err := ring.New(ring.Config{
		Nodes: []ring.Node{
			{Name: "alpha", Addr: "10.0.0.1:11211"},
			{Name: "beta", Addr: "10.0.0.2:11211", Weight: 2},
		},
		Placement: ring.Ketama,
		KeyTag:    "{}",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Owner("{user:42}:profile").Name == r.Owner("{user:42}:friends").Name)
	// Output:
	// true
}
