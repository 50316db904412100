package gomc

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg nodeserver.Config) *nodeserver.Server {
	srv, err := nodeserver.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	return srv
}

func newSelector(t testing.TB, cfg ring.Config) *Selector {
	r, err := ring.New(cfg)
	require.NoError(t, err)
	return NewSelector(r)
}

// TestSelector drives gomemcache's client over three nodes, asks each node itself for what
// it should have, and takes one of them away.
func TestSelector(t *testing.T) {
	var nodes []ring.Node
	own := make(map[string]*memcache.Client) // a client of each node alone, by name
	for range 3 {
		n := ring.Node{Addr: start(t, nodeserver.Config{}).Addr().String()}
		own[n.Addr] = memcache.New(n.Addr)
		defer own[n.Addr].Close()
		nodes = append(nodes, n)
	}
	s := newSelector(t, ring.Config{Nodes: nodes})
	mc := memcache.NewFromSelector(s)
	defer mc.Close()
	require.NoError(t, mc.Ping())
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = fmt.Sprint("user:", i)
		require.NoError(t, mc.Set(&memcache.Item{Key: keys[i], Value: []byte(keys[i])}))
	}
	for _, key := range keys {
		for name, c := range own {
			it, err := c.Get(key)
			if name != s.Ring().Owner(key).Name {
				require.ErrorIs(t, err, memcache.ErrCacheMiss)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, key, string(it.Value))
		}
	}
	items, err := mc.GetMulti(keys)
	require.NoError(t, err)
	require.Len(t, items, len(keys))

	before := s.Ring()
	require.NoError(t, s.SetNodes(nodes[:2]))
	for _, key := range keys {
		it, err := mc.Get(key)
		if before.Owner(key).Addr == nodes[2].Addr {
			require.ErrorIs(t, err, memcache.ErrCacheMiss, "the new owner doesn't have it yet")
			continue
		}
		require.NoError(t, err, "no other key moves")
		require.Equal(t, key, string(it.Value))
	}

	after := s.Ring()
	require.ErrorIs(t, s.SetNodes(nil), ring.ErrNoNodes)
	require.Same(t, after, s.Ring())
	require.NoError(t, mc.FlushAll())
	items, err = mc.GetMulti(keys)
	require.NoError(t, err)
	require.Empty(t, items)
}

// TestSelectorSocket: the address of a socket is dialled as one.
func TestSelectorSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.sock")
	start(t, nodeserver.Config{Addr: "unix:" + path})
	mc := memcache.NewFromSelector(newSelector(t, ring.Config{Nodes: ring.Addrs(path)}))
	defer mc.Close()
	require.NoError(t, mc.Ping())
	require.NoError(t, mc.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
}

// TestSelectorResolvesLate: names reach the dialler as names, every time.
func TestSelectorResolvesLate(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	start(t, nodeserver.Config{Addr: "cache1.example.net:11211", Network: mem})
	mc := memcache.NewFromSelector(newSelector(t, ring.Config{Nodes: ring.Addrs("Cache1.Example.NET")}))
	var dialled []string
	mc.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled = append(dialled, network+" "+addr)
		return mem.DialContext(ctx, network, addr)
	}
	for range 2 {
		require.NoError(t, mc.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
		mc.Close() // drops the idle connections
	}
	require.Equal(t, []string{"tcp cache1.example.net:11211", "tcp cache1.example.net:11211"}, dialled)
}

func TestPickServerDoesNotAllocate(t *testing.T) {
	s := newSelector(t, ring.Config{Nodes: ring.Addrs("a", "b", "c"), Placement: ring.Ketama})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if a, err := s.PickServer("user:42"); err != nil || a.String() == "" {
			t.Error(a, err)
		}
	}))
}

// TestSelectorSwap has the race detector watch readers while the fleet changes.
func TestSelectorSwap(t *testing.T) {
	s := newSelector(t, ring.Config{Nodes: ring.Addrs("a", "b"), Placement: ring.Ketama})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 2000 {
				a, err := s.PickServer("user:42")
				if err != nil || a.Network() != "tcp" {
					t.Error(a, err)
				}
				n := 0
				if err := s.Each(func(net.Addr) error { n++; return nil }); err != nil || n < 2 || n > 3 {
					t.Error(n, err)
				}
			}
		})
	}
	for i := range 50 {
		require.NoError(t, s.SetNodes(ring.Addrs("a", "b", "c")[:2+i%2]))
	}
	wg.Wait()
}
