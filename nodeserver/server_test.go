package nodeserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startNode runs a node on TCP until the test ends.
func startNode(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func dialNode(t testing.TB, s *Server) net.Conn {
	t.Helper()
	nc, err := net.Dial(s.Addr().Network(), s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

// ask sends commands followed by mn and returns everything up to MN's line.
func ask(t testing.TB, nc net.Conn, commands string) string {
	t.Helper()
	go io.WriteString(nc, commands+"mn\r\n")
	return readUntil(t, nc, "MN\r\n")
}

func readUntil(t testing.TB, r io.Reader, end string) string {
	t.Helper()
	var got []byte
	var b [1]byte
	for !strings.HasSuffix(string(got), end) {
		n, err := r.Read(b[:])
		got = append(got, b[:n]...)
		if err != nil {
			require.NoErrorf(t, err, "after %q", got)
		}
	}
	return strings.TrimSuffix(string(got), end)
}

func TestStartOnTCPUnixAndMemory(t *testing.T) {
	mem := NewMemNetwork()
	for _, cfg := range []Config{
		{},
		{Addr: "unix:" + filepath.Join(t.TempDir(), "node.sock")},
		{Addr: "node1:11211", Network: mem},
	} {
		s := startNode(t, cfg)
		var nc net.Conn
		if cfg.Network != nil {
			var err error
			nc, err = mem.DialContext(t.Context(), "tcp", "node1:11211")
			require.NoError(t, err)
			defer nc.Close()
		} else {
			nc = dialNode(t, s)
		}
		assert.Equal(t, "STORED\r\nVALUE a 7 1\r\nx\r\nEND\r\nVA 1 f7\r\nx\r\n",
			ask(t, nc, "set a 7 0 1\r\nx\r\nget a b\r\nmg a v f\r\n"))
	}
}

func TestServeReturnsErrServerClosed(t *testing.T) {
	s, err := New(Config{})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- s.Serve(ln) }()
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	require.Equal(t, "", ask(t, nc, ""))
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, ErrServerClosed)
	require.NoError(t, s.Close(), "closing twice")
	ln2, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(ln2), ErrServerClosed)
}

func TestShutdownAnswersWhatWasRead(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := startNode(t, Config{Intercept: func(_ net.Addr, r *memproto.Request) Verdict {
		if r.Cmd == memproto.CmdVersion {
			close(entered)
			<-release
		}
		return Verdict{}
	}})
	nc := dialNode(t, s)
	_, err := io.WriteString(nc, "set a 0 0 1\r\nx\r\nversion\r\nget a\r\n")
	require.NoError(t, err)
	<-entered
	short, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Shutdown(short), context.Canceled, "one connection still works")
	close(release)
	all, err := io.ReadAll(nc)
	require.NoError(t, err)
	assert.Equal(t, "STORED\r\nVERSION "+Version+"\r\nVALUE a 0 1\r\nx\r\nEND\r\n", string(all))
	require.NoError(t, s.Shutdown(context.Background()))
	_, err = net.Dial("tcp", s.Addr().String())
	require.Error(t, err)
}

func TestConnectionLimit(t *testing.T) {
	s := startNode(t, Config{MaxConns: 2})
	a, b := dialNode(t, s), dialNode(t, s)
	require.Equal(t, "", ask(t, a, ""))
	require.Equal(t, "", ask(t, b, ""))
	all, err := io.ReadAll(dialNode(t, s))
	require.NoError(t, err)
	assert.Equal(t, "ERROR Too many open connections\r\n", string(all))
	assert.Equal(t, uint64(1), s.stats.rejected.Load())
	// A place that becomes free is given out again.
	_, err = io.WriteString(a, "quit\r\n")
	require.NoError(t, err)
	_, err = io.ReadAll(a)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return connCount(s) == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "", ask(t, dialNode(t, s), ""))
}

// TestPipelineWithoutReading sends far more than any buffer holds before it reads a
// byte: a node that waited for its replies to be taken would never read the rest.
func TestPipelineWithoutReading(t *testing.T) {
	s := startNode(t, Config{})
	nc := dialNode(t, s)
	value := strings.Repeat("v", 10_000)
	require.Equal(t, "STORED\r\n", ask(t, nc, "set k 0 0 10000\r\n"+value+"\r\n"))
	const n = 1500
	pipeline := strings.Repeat("get k\r\n"+strings.Repeat("mg nokey v q k\r\n", 100), n)
	_, err := io.WriteString(nc, pipeline+"mn\r\n") // 2.4 MB in, 15 MB out
	require.NoError(t, err)
	want := fmt.Sprintf("VALUE k 0 10000\r\n%s\r\nEND\r\n", value)
	br := bufio.NewReaderSize(nc, 1<<20)
	buf := make([]byte, len(want))
	for range n {
		_, err := io.ReadFull(br, buf)
		require.NoError(t, err)
		if string(buf) != want {
			t.Fatalf("wrong reply %.40q", buf)
		}
	}
	require.Equal(t, "", readUntil(t, br, "MN\r\n"))
}

// TestSlowReaderIsDropped lets a peer that takes nothing run into the write timeout,
// on the virtual clock.
func TestSlowReaderIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		s := startNode(t, Config{Addr: "n", Network: mem, MaxItemBytes: 1 << 20, WriteTimeout: 5 * time.Second})
		nc, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		defer nc.Close()
		_, err = io.WriteString(nc, "set k 0 0 1000000\r\n"+strings.Repeat("v", 1_000_000)+"\r\n"+strings.Repeat("get k\r\n", 3))
		require.NoError(t, err)
		start := time.Now()
		for connCount(s) > 0 {
			time.Sleep(100 * time.Millisecond) // virtual
		}
		assert.InDelta(t, 5, time.Since(start).Seconds(), 0.2)
	})
}

func connCount(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// TestFastAgainAfterSlow: who has kept the node waiting once, and took all its replies in time,
// is served on, however long after.
func TestFastAgainAfterSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nc := dialMem(t, Config{WriteTimeout: time.Second})
		v := strings.Repeat("v", 900_000) // more than the network holds
		ask(t, nc, fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", len(v), v))
		io.WriteString(nc, "get big\r\n")
		synctest.Wait() // now the rest of the reply waits
		got := make([]byte, len("VALUE big 0 900000\r\n\r\nEND\r\n")+len(v))
		_, err := io.ReadFull(nc, got)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, "END\r\n", ask(t, nc, "get none\r\n"))
	})
}
