//go:build unix

package discovery_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/discovery"
	"github.com/memherd/memherd/nodeserver"
)

func startNode(t *testing.T, addr string) *nodeserver.Server {
	s, err := nodeserver.Start(nodeserver.Config{Addr: addr})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// TestFleetFollowsFile: real nodes on loopback, a file that changes under load, and a
// client that follows it without one error.
func TestFleetFollowsFile(t *testing.T) {
	var addrs []string
	for range 5 {
		addrs = append(addrs, startNode(t, "127.0.0.1:0").Addr().String())
	}
	path := filepath.Join(t.TempDir(), "nodes")
	write := func(text string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o644))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write("# the fleet\n" + strings.Join(addrs[:3], "\n"))

	applied, warned := make(chan [2][]string, 10), make(chan error, 10)
	ctx := context.Background()
	c, f, err := discovery.NewClient(ctx, client.Config{ReplicationFactor: 2, Timeout: 5 * time.Second, Announce: 50 * time.Millisecond}, &discovery.File{Path: path}, discovery.Config{
		Interval: time.Hour, // what is seen is seen by watching
		Coalesce: time.Millisecond,
		Hooks: discovery.Hooks{
			Applied: func(added, removed, _ []string) { applied <- [2][]string{added, removed} },
			Failed:  func(err error) { warned <- err },
		},
	})
	require.NoError(t, err)
	require.Len(t, c.Nodes(), 3)

	var calls atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for w := range 4 {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("key:%d:%d", w, i%500)
				if _, err := c.Set(ctx, client.Item{Key: key, Value: []byte(key)}); err != nil {
					t.Errorf("set: %v", err)
					return
				}
				// Between the two the fleet may have changed: a miss is none of discovery's.
				if it, err := c.Get(ctx, key); err != nil && err != client.ErrCacheMiss || err == nil && string(it.Value) != key {
					t.Errorf("get: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	var none []string
	for _, step := range []struct {
		text           string
		added, removed []string
	}{
		{strings.Join(addrs[:4], "\n"), addrs[3:4], none},
		{strings.Join(addrs[1:4], "\n"), none, addrs[:1]}, // the operator's word: it works, and leaves
		{`["` + strings.Join(addrs[2:], `","`) + `"]`, addrs[4:], addrs[1:2]},
	} {
		write(step.text)
		got := <-applied
		require.Equal(t, step.added, got[0])
		require.Equal(t, step.removed, got[1])
		require.Len(t, inForce(c), len(f.State().Nodes))
	}
	write(addrs[0] + " weight=-1\n" + addrs[1])
	require.ErrorContains(t, <-warned, path+":1: ")
	require.Len(t, inForce(c), 3, "a broken file changes nothing")

	close(stop)
	load.Wait()
	t.Logf("%d calls, 0 errors", calls.Load())
	require.Positive(t, calls.Load())
	require.NoError(t, f.Close())
	require.NoError(t, c.Close())
}

// inForce are the nodes of the newest list.
func inForce(c *client.Client) (nodes []client.Status) {
	for _, s := range c.Nodes() {
		if !s.Leaving {
			nodes = append(nodes, s)
		}
	}
	return nodes
}

// TestStockDialerResolvesAnew: a net.Dialer with a real resolver finds a name's new address.
func TestStockDialerResolvesAnew(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8 to be local")
	}
	dns := discovery.NewNameserver(t)
	old := startNode(t, "127.0.0.1:0")
	_, port, err := net.SplitHostPort(old.Addr().String())
	require.NoError(t, err)
	dns.SetHost("cache1.test", "127.0.0.1")

	up, down := make(chan string, 100), make(chan string, 100)
	d := net.Dialer{Resolver: dns.Resolver()}
	src := &discovery.DNS{Names: []string{"cache1.test:" + port}, Resolver: dns.Resolver()}
	ctx := context.Background()
	c, f, err := discovery.NewClient(ctx, client.Config{DialContext: d.DialContext, Hooks: client.Hooks{
		NodeDown: func(node string, _ error) { down <- node },
		NodeUp:   func(node string, _ int) { up <- node },
	}}, src, discovery.Config{})
	require.NoError(t, err)
	defer c.Close()
	defer f.Close()
	require.NoError(t, c.Ping(ctx))
	require.NoError(t, old.Close())
	for len(down) == 0 { // the first to fail lose a connection, the next can't dial
		_ = c.Ping(ctx)
	}
	startNode(t, "127.0.0.2:"+port)
	dns.SetHost("cache1.test", "127.0.0.2")
	ready := time.Now()
	require.Equal(t, "cache1.test:"+port, <-up)
	t.Logf("the new address was in use after %v", time.Since(ready))
	require.NoError(t, c.Ping(ctx))
}
