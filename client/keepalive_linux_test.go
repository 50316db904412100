package client_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// probe is in how long the kernel sends the next keep-alive probe on the connections to addr, as /proc/net/tcp has
// it (proc(5)): timer 2 is that of keep-alive, in hundredths of a second. 0 is never. A request that is not
// acknowledged yet has another timer run instead: then it looks again.
func probe(t *testing.T, addr string) time.Duration {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	for range 100_000 {
		table, err := os.ReadFile("/proc/net/tcp")
		require.NoError(t, err)
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) < 6 || !strings.HasSuffix(f[2], fmt.Sprintf(":%04X", n)) {
				continue
			}
			timer, when, ok := strings.Cut(f[5], ":")
			require.True(t, ok)
			switch timer {
			case "00":
				return 0
			case "02":
				ticks, err := strconv.ParseInt(when, 16, 64)
				require.NoError(t, err)
				return time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	t.Fatal("no quiet connection to the node")
	return 0
}

func TestKeepAlive(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 15 * time.Second, 5 * time.Second: 5 * time.Second, client.NoKeepAlive: 0} {
		srv, err := nodeserver.Start(nodeserver.Config{Addr: "127.0.0.1:0"})
		require.NoError(t, err)
		c := newClient(t, client.Config{Nodes: ring.Addrs(srv.Addr().String()), KeepAlive: given})
		set(t, c, "k", "v")
		got := probe(t, srv.Addr().String())
		require.LessOrEqual(t, got, want)
		require.GreaterOrEqual(t, got, want-4*time.Second, "of %v", given)
		require.NoError(t, c.Close())
		require.NoError(t, srv.Close())
	}
}
