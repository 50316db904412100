package client_test

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// memFleet is n embedded nodes on an in-memory network, named node0, node1, …
type memFleet struct {
	t       testing.TB
	network *nodeserver.MemNetwork
	servers map[string]*nodeserver.Server
	names   []string
	hosts   map[string]string // where nodes are that have moved; all others are where their name says
	config  nodeserver.Config
}

// host is where a node is.
func (f *memFleet) host(name string) string {
	if at, moved := f.hosts[name]; moved {
		return at
	}
	return name
}

func newMemFleet(t testing.TB, n int, cfg nodeserver.Config) *memFleet {
	f := &memFleet{t: t, network: nodeserver.NewMemNetwork(), servers: map[string]*nodeserver.Server{}, config: cfg}
	for i := range n {
		name := fmt.Sprintf("node%d", i)
		f.names = append(f.names, name)
		f.start(name)
	}
	t.Cleanup(func() {
		for _, s := range f.servers {
			s.Close()
		}
	})
	return f
}

func (f *memFleet) start(name string) {
	cfg := f.config
	cfg.Network, cfg.Addr = f.network, f.host(name)
	s, err := nodeserver.Start(cfg)
	require.NoError(f.t, err)
	f.servers[name] = s
}

// kill ends a node as kill -9 would: connections are reset, its memory is gone.
func (f *memFleet) kill(name string) {
	f.network.Kill(f.host(name))
	f.servers[name].Close()
	delete(f.servers, name)
}

// restart brings a killed node back, empty.
func (f *memFleet) restart(name string) {
	f.network.Revive(f.host(name))
	f.start(name)
}

// move brings a killed node back, empty, at an address where nobody has been before.
func (f *memFleet) move(name string) {
	if f.hosts == nil {
		f.hosts = map[string]string{}
	}
	f.hosts[name] = f.host(name) + "x"
	f.start(name)
}

func (f *memFleet) nodes() []ring.Node {
	out := make([]ring.Node, len(f.names))
	for i, name := range f.names {
		out[i] = ring.Node{Name: name, Addr: f.host(name) + ":1"}
	}
	return out
}

// client makes a client of the fleet, closed when the test ends.
func (f *memFleet) client(cfg client.Config) *client.Client {
	if cfg.Nodes == nil {
		cfg.Nodes = f.nodes()
	}
	cfg.DialContext = f.dial
	if time.Now().Year() != 2000 { // the year in a bubble
		// On a busy machine the nodes, which live in this process, may not get a processor for as long as the defaults.
		cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
		cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 5*time.Second)
	}
	c, err := client.New(cfg)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, c.Close()) })
	return c
}

func get(t testing.TB, c *client.Client, key string) string {
	t.Helper()
	it, err := c.Get(context.Background(), key)
	require.NoError(t, err)
	return string(it.Value)
}

func set(t testing.TB, c *client.Client, key, value string) {
	t.Helper()
	_, err := c.Set(context.Background(), client.Item{Key: key, Value: []byte(value)})
	require.NoError(t, err)
}

// compiled are the rings that tests have asked for: compiling one takes most of a second under the race detector.
var compiled struct {
	sync.Mutex
	rings map[string]*ring.Ring
}

// ringOf is the ring that a client with these nodes places keys by.
func ringOf(t testing.TB, cfg ring.Config) *ring.Ring {
	t.Helper()
	compiled.Lock()
	defer compiled.Unlock()
	key := fmt.Sprintf("%+v", cfg)
	r, ok := compiled.rings[key]
	if !ok {
		var err error
		r, err = ring.New(cfg)
		require.NoError(t, err)
		if compiled.rings == nil {
			compiled.rings = map[string]*ring.Ring{}
		}
		compiled.rings[key] = r
	}
	return r
}
