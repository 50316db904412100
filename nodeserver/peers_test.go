package nodeserver

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What hostile peers try, by the numbers of the catalogue DESIGN.md lists (S5 to S21).

// TestS5Numbers: the numbers around every bound, in every field that takes one. Whatever the
// answer is, the connection is in step behind it, or takes what follows for a data block, or
// is closed; and it holds no more than has arrived.
func TestS5Numbers(t *testing.T) {
	numbers := []string{"-9223372036854775809", "-9223372036854775808", "-2147483649", "-2147483648", "-1", "-0", "0", "1",
		"1048575", "1048576", "1048577", "2147483645", "2147483646", "2147483647", "2147483648", "4294967294", "4294967295", "4294967296",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", strings.Repeat("9", 40), "", "0x10", "1e9", "+1", "٣"}
	fields := []string{
		"set k # 0 1\r\nx\r\n", "set k 0 # 1\r\nx\r\n", "set k 0 0 #\r\nx\r\n", "add k 0 0 #\r\nx\r\n", "append k 0 0 #\r\nx\r\n", "cas k 0 0 # 1\r\nx\r\n", "cas k 0 0 1 #\r\nx\r\n",
		"incr n #\r\n", "decr n #\r\n", "touch n #\r\n", "gat # n\r\n", "gats # n\r\n", "flush_all #\r\n", "verbosity #\r\n", "cache_memlimit #\r\n", "stats cachedump # 1\r\n", "stats cachedump 1 #\r\n",
		"mg n T#\r\n", "mg n N#\r\n", "mg n R#\r\n", "mg n E#\r\n", "ms k #\r\nx\r\n", "ms k 1 F#\r\nx\r\n", "ms k 1 T#\r\nx\r\n", "ms k 1 C#\r\nx\r\n", "ms k 1 E#\r\nx\r\n", "ms k 1 MA N#\r\nx\r\n",
		"md n T#\r\n", "md n C#\r\n", "md n E#\r\n", "ma n N#\r\n", "ma n J#\r\n", "ma n D#\r\n", "ma n T#\r\n", "ma n C#\r\n", "ma n E#\r\n",
	}
	for _, field := range fields {
		for _, n := range numbers {
			in := "set n 0 0 2\r\n10\r\n" + strings.ReplaceAll(field, "#", n) + "mn\r\n"
			c := feedConn(t, nil, []byte(in))
			require.LessOrEqual(t, len(c.rbuf), keepBuf, "%q", in)
			if c.quit || c.need > 0 || c.swallow > 0 {
				continue
			}
			require.True(t, strings.HasSuffix(string(c.out.buf), "MN\r\n"), "%q answered %q", in, c.out.buf)
		}
	}
}

// TestS7UnterminatedLines end the connection at memcached's length, and long lists of keys
// at a bound, too.
func TestS7UnterminatedLines(t *testing.T) {
	_, quit := feed(t, nil, []byte(strings.Repeat("x", 2048)))
	assert.False(t, quit)
	out, quit := feed(t, nil, []byte(strings.Repeat("x", 2049)))
	assert.True(t, quit)
	assert.Empty(t, out)
	keys := []byte("get " + strings.Repeat("key ", 3<<20/4))
	c := feedConn(t, nil, keys)
	assert.True(t, c.quit, "3 MiB of keys")
	assert.LessOrEqual(t, len(c.rbuf), 4<<20)
}

// noDescriptors fails to accept as often as told, then does what the listener does.
type noDescriptors struct {
	net.Listener
	failures int
}

func (l *noDescriptors) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// TestS9OutOfDescriptors: the accept loop outlives it, and does not spin.
func TestS9OutOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		ln, err := mem.Listen("n")
		require.NoError(t, err)
		s, err := New(Config{})
		require.NoError(t, err)
		ended := make(chan error, 1)
		start := time.Now()
		go func() { ended <- s.Serve(&noDescriptors{ln, 5}) }()
		nc, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		assert.Empty(t, ask(t, nc, ""))
		assert.Equal(t, 155*time.Millisecond, time.Since(start), "5, 10, 20, 40 and 80 ms")
		nc.Close()
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, ErrServerClosed)
	})
}

// TestS21NotHTTP: a browser or a server that was tricked into speaking to the node is cut
// off at its first line, whose body may hold commands.
func TestS21NotHTTP(t *testing.T) {
	n := 0
	for _, verb := range []string{"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "get", "post", "Put"} {
		for _, form := range []string{"%s / HTTP/1.1", "%s\t/\tHTTP/1.0", " %s /x HTTP/1.1", "%s http://h/ HTTP/1.1", "%s  /  HTTP/1.1"} {
			in := fmt.Sprintf(form, verb) + "\r\nHost: x\r\n\r\nset k 0 0 1\r\nx\r\n"
			c := feedConn(t, nil, []byte(in))
			assert.True(t, c.quit, "%q answered %q", in, c.out.buf)
			assert.Zero(t, c.srv.store.Stats().Items, "%q", in)
			n++
		}
	}
	assert.GreaterOrEqual(t, n, 50)
	for _, magic := range []string{"\x80", "\x81", "\x80\x00\x00\x01\x00\x00\x00\x00set k 0 0 1\r\nx\r\n", "Host: x\r\n"} {
		out, quit := feed(t, nil, []byte(magic))
		assert.True(t, quit || magic == "\x81", "%q", magic)
		assert.NotContains(t, out, "STORED")
	}
	s := startNode(t, Config{})
	nc := dialNode(t, s)
	io.WriteString(nc, "POST / HTTP/1.1\r\n")
	got, err := io.ReadAll(nc)
	require.NoError(t, err)
	assert.Empty(t, got)
}
