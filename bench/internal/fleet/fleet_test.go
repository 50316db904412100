package fleet

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKillAndRestart(t *testing.T) {
	f, err := Start(3, 0)
	require.NoError(t, err)
	defer f.Close()
	nodes := f.Nodes()
	require.Len(t, nodes, 3)
	assert.Equal(t, "node2", nodes[1].Name)
	for _, n := range nodes {
		require.NoError(t, ping(t.Context(), n.Addr))
	}
	require.NoError(t, f.Kill(1))
	assert.Error(t, ping(t.Context(), nodes[1].Addr))
	assert.ErrorContains(t, f.Kill(1), "down already")
	require.NoError(t, f.Restart(1))
	assert.NoError(t, ping(t.Context(), nodes[1].Addr))
	assert.ErrorContains(t, f.Restart(1), "up already")
	require.NoError(t, f.Close())
	assert.Error(t, ping(t.Context(), nodes[0].Addr))
	assert.NoError(t, f.Close(), "closing twice does no harm")
}

func TestStartIsAllOrNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = Start(2, port-1)
	require.ErrorContains(t, err, "choose other ports")
	assert.Error(t, ping(t.Context(), net.JoinHostPort("127.0.0.1", strconv.Itoa(port-1))), "the first node was stopped again")
}

func TestOneServerUnderTwoNames(t *testing.T) {
	f, err := Start(1, 0)
	require.NoError(t, err)
	defer f.Close()
	_, port, err := net.SplitHostPort(f.Nodes()[0].Addr)
	require.NoError(t, err)
	_, err = External(t.Context(), []string{"127.0.0.1:" + port, "[::ffff:127.0.0.1]:" + port}, false)
	require.ErrorContains(t, err, "are one server: name it once")
}

func ping(ctx context.Context, addr string) error {
	_, err := Version(ctx, addr)
	return err
}

// mute takes connections and answers them with the given bytes.
func mute(t *testing.T, answer string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(answer))
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

func TestExternal(t *testing.T) {
	f, err := Start(2, 0)
	require.NoError(t, err)
	defer f.Close()
	a, b := f.Nodes()[0].Addr, f.Nodes()[1].Addr
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dead := gone.Addr().String()
	gone.Close()

	nodes, err := External(t.Context(), []string{a, " " + b, ""}, false)
	require.NoError(t, err)
	assert.Len(t, nodes, 2)

	for name, c := range map[string]struct {
		servers []string
		want    string
	}{
		"none":         {nil, "no servers: give -servers"},
		"empty":        {[]string{"", " "}, "no servers: give -servers"},
		"twice":        {[]string{a, b, a}, "is given twice"},
		"unreachable":  {[]string{a, dead}, "cannot reach server " + dead},
		"remote":       {[]string{a, "192.0.2.1:11211"}, "say so with -i-own-these-servers"},
		"remote name":  {[]string{"cache.example.com:11211"}, "say so with -i-own-these-servers"},
		"malformed":    {[]string{"a:b:c"}, "a:b:c"},
		"no memcached": {[]string{mute(t, "HTTP/1.1 400 Bad Request\r\n")}, "does not answer like memcached"},
		"silent":       {[]string{mute(t, "")}, "does not answer like memcached"},
	} {
		_, err := External(t.Context(), c.servers, false)
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.want, name)
		assert.NotContains(t, err.Error(), "\n", name)
	}
}

func TestLocal(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:11211": true, "127.9.9.9:1": true, "[::1]:11211": true, "localhost:11211": true, "/run/memcached.sock": true,
		"127.0.0.1": true, "::1": true, "[::1]": true, "localhost": true, "10.0.0.1": false, "2001:db8::1": false, "example.com": false,
		"0.0.0.0:11211": false, "10.0.0.1:11211": false, "192.168.1.1:1": false, "[2001:db8::1]:1": false, "example.com:1": false, "x": false,
	} {
		assert.Equal(t, want, local(context.Background(), addr), addr)
	}
}
