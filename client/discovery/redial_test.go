package discovery_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/discovery"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// names is DNS and the network below it: names have addresses, which change.
type names struct {
	network *nodeserver.MemNetwork
	mu      sync.Mutex // guards addrs
	addrs   map[string]netip.Addr
}

func (n *names) set(host, ip string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[host] = netip.MustParseAddr(ip)
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ip, ok := n.addrs[host]; ok {
		return []netip.Addr{ip}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (n *names) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such service", IsNotFound: true}
}

// DialContext resolves at each dial, as a net.Dialer does.
func (n *names) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := n.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	return n.network.DialContext(ctx, network, net.JoinHostPort(ips[0].String(), port))
}

// TestNewAddress: a node dies and its name gets a new address, at once or later. No key
// moves, and the client is on the new address within 2 s of when both have happened.
func TestNewAddress(t *testing.T) {
	for _, death := range []string{"killed", "hung"} {
		for _, later := range []time.Duration{0, 300 * time.Millisecond, 1500 * time.Millisecond, time.Minute} {
			for _, busy := range []bool{true, false} {
				t.Run(fmt.Sprint(death, " ", later, " busy=", busy), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { newAddress(t, death, later, busy) })
				})
			}
		}
	}
}

func newAddress(t *testing.T, death string, later time.Duration, busy bool) {
	n := &names{network: nodeserver.NewMemNetwork(), addrs: map[string]netip.Addr{}}
	start := func(ip string) *nodeserver.Server {
		s, err := nodeserver.Start(nodeserver.Config{Network: n.network, Addr: ip + ":11211"})
		require.NoError(t, err)
		return s
	}
	for i := range 3 {
		ip := fmt.Sprint("10.0.0.", i)
		defer start(ip).Close()
		n.set(fmt.Sprint("cache", i), ip)
	}
	ctx := context.Background()
	src := &discovery.DNS{Names: []string{"cache0", "cache1", "cache2"}, Resolver: n}
	changes := 0
	c, f, err := discovery.NewClient(ctx, client.Config{DialContext: n.DialContext}, src, discovery.Config{
		Hooks: discovery.Hooks{Applied: func(_, _, _ []string) { changes++ }},
	})
	require.NoError(t, err)
	defer c.Close()
	defer f.Close()
	placement, err := ring.New(ring.Config{Nodes: ring.Addrs("cache0", "cache1", "cache2")})
	require.NoError(t, err)
	key := "k"
	for i := 0; placement.Owner(key).Name != "cache1"; i++ {
		key = fmt.Sprint("k", i)
	}
	use := func() error { // writes reach a node that comes back before reads do
		if _, err := c.Set(ctx, client.Item{Key: key, Value: []byte("v")}); err != nil {
			return err
		}
		_, err := c.Get(ctx, key)
		return err
	}
	require.NoError(t, use())
	time.Sleep(2 * time.Second) // by then the client knows whom it talks to, and another from it

	if death == "hung" {
		n.network.Partition("10.0.0.1:11211", true)
		defer n.network.Partition("10.0.0.1:11211", false)
	} else {
		n.network.Kill("10.0.0.1:11211")
	}
	died := time.Now()
	for time.Since(died) < later {
		if busy {
			_ = use() // fails: there is nobody
		}
		time.Sleep(50 * time.Millisecond)
	}
	replacement := start("10.0.1.77")
	defer replacement.Close()
	n.set("cache1", "10.0.1.77")
	ready := time.Now()
	for use() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(ready)
	t.Logf("the new address was in use after %v", took)
	require.LessOrEqual(t, took, 2*time.Second)
	direct, err := client.New(client.Config{Nodes: ring.Addrs("10.0.1.77"), DialContext: n.network.DialContext})
	require.NoError(t, err)
	defer direct.Close()
	_, err = direct.Get(ctx, key)
	require.NoError(t, err, "the value is where the name leads now")

	time.Sleep(5 * discovery.DefaultInterval)
	synctest.Wait()
	require.Zero(t, changes, "no key moves")
	require.NoError(t, f.State().Err)
}
