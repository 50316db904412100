package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/discovery"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// answers is a Resolver that knows two names; a *net.Resolver is one, too.
type answers struct{}

func (answers) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errors.New("no services here")
}

func (answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(map[string]string{"cache1": "10.0.0.7", "cache2": "10.0.0.8"}[host])}, nil
}

// Nodes that have names: a node that comes back with another address keeps its keys.
func ExampleDNS_hosts() {
	src := &discovery.DNS{Names: []string{"cache1", "cache2:11311"}, Records: discovery.Hosts, Resolver: answers{}}
	nodes, err := discovery.First(context.Background(), src)
	for _, n := range nodes {
		fmt.Println(n.Name)
	}
	fmt.Println(err)
	// Output:
	// cache1
	// cache2:11311
	// <nil>
}

// A configuration endpoint, played by an embedded node.
func ExampleCluster_embedded() {
	srv, err := nodeserver.Start(nodeserver.Config{Admin: nodeserver.Admin{Cluster: []string{"cache1||11211", "cache2||11211"}}})
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	src := &discovery.Cluster{Addrs: []string{srv.Addr().String()}}
	nodes, err := discovery.First(context.Background(), src)
	fmt.Println(len(nodes), nodes[0].Name, err)
	// Output: 2 cache1 <nil>
}

func ExampleLineError() {
	_, err := discovery.Parse([]byte("10.0.0.1:11211\n10.0.0.2:11211 weight=none\n"))
	var line *discovery.LineError
	fmt.Println(errors.As(err, &line), line.Line, errors.Is(err, discovery.ErrMalformed))
	// Output: true 2 true
}

// program is a source of one's own. Being the operator's word, a node that it no longer names leaves at
// once; saying when its answer has changed, it need not be waited for.
type program struct {
	nodes   []string
	changed chan struct{}
}

func (p *program) Nodes(context.Context) ([]ring.Node, error) { return ring.Addrs(p.nodes...), nil }

func (p *program) Trusted() bool { return true }

func (p *program) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-p.changed:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}

func ExampleFollower() {
	src := &program{nodes: []string{"10.0.0.1:11211", "10.0.0.2:11211"}, changed: make(chan struct{})}
	var _ discovery.Truster = src
	var _ discovery.Watcher = src
	ctx := context.Background()
	nodes, err := discovery.First(ctx, src)
	if err != nil {
		panic(err)
	}
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	var fleet discovery.Fleet = c // what a follower steers
	f, err := discovery.Follow(fleet, src, discovery.Config{Removals: discovery.RemovalsTrusted})
	if err != nil {
		panic(err)
	}
	defer f.Close()
	state := f.State() // for a health page
	for _, n := range state.Nodes {
		fmt.Println(n.Name)
	}
	var missing []discovery.Missing = state.Missing
	fmt.Println(len(missing), "missing,", state.Failures, "failures")
	// Output:
	// 10.0.0.1
	// 10.0.0.2
	// 0 missing, 0 failures
}

// A list that does not change.
func ExampleStatic() {
	nodes, err := discovery.First(context.Background(), discovery.Static(ring.Addrs("10.0.0.1:11211", "10.0.0.2:11211")))
	fmt.Println(len(nodes), err)
	// Output: 2 <nil>
}
