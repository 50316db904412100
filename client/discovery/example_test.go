package discovery_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/discovery"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A client whose nodes are listed in a file.
func ExampleNewClient() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "memherd")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "nodes")
	node, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if err := os.WriteFile(path, []byte("# our nodes\n"+node.Addr().String()+" name=cache1\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	c, follower, err := discovery.NewClient(ctx, client.Config{HotKeys: &hotkey.Config{}}, &discovery.File{Path: path}, discovery.Config{
		Hooks: discovery.Hooks{
			Applied: func(added, removed, altered []string) { log.Printf("nodes: +%v -%v ~%v", added, removed, altered) },
			Kept:    func(nodes []string, why error) { log.Printf("nodes kept: %v: %v", nodes, why) },
			Failed:  func(err error) { log.Print(err) },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	defer follower.Close()

	for _, n := range c.Nodes() {
		fmt.Println(n.Node.Name)
	}
	// Output: cache1
}

// The pods of a Kubernetes headless service whose port is named "memcache".
func ExampleDNS() {
	src := &discovery.DNS{
		Names:   []string{"_memcache._tcp.cache.default.svc.cluster.local"},
		Records: discovery.Services,
	}
	nodes, err := discovery.First(context.Background(), src)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(nodes) // cache-0.cache.default.svc.cluster.local:11211, …
}

// An ElastiCache or Memorystore cluster.
func ExampleCluster() {
	src := &discovery.Cluster{Addrs: []string{"mc.abcdef.cfg.use1.cache.amazonaws.com:11211"}}
	c, follower, err := discovery.NewClient(context.Background(), client.Config{ReplicationFactor: 2}, src, discovery.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	defer follower.Close()
}

// A source of one's own is any type with the method Nodes.
func ExampleSource() {
	nodes, err := discovery.First(context.Background(), consul{"cache"})
	fmt.Println(nodes[0].Name, err)
	// Output: cache-1 <nil>
}

// consul would ask an agent for the healthy instances of a service.
type consul struct{ service string }

func (c consul) Nodes(context.Context) ([]ring.Node, error) {
	return []ring.Node{{Name: c.service + "-1", Addr: "10.0.0.1:11211"}}, nil
}

func ExampleParse() {
	_, err := discovery.Parse([]byte("10.0.0.1:11211 zone=a\n10.0.0.2:11211 zone=b weight=-2\n"))
	fmt.Println(err)
	// Output: line 2: discovery: malformed list of nodes: ring: bad node weight: node "10.0.0.2:11211" has weight -2, want 0 (meaning 1) to 2147483647; a node that shall take no keys sets Drain
}
