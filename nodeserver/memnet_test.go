package nodeserver

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func memPair(t *testing.T, n *MemNetwork) (client, server net.Conn) {
	t.Helper()
	ln, err := n.Listen("host:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	client, err = n.DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	server, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestMemConnIsLikeTCP(t *testing.T) {
	client, server := memPair(t, NewMemNetwork())
	assert.Equal(t, "mem", client.RemoteAddr().Network())
	assert.Equal(t, client.LocalAddr(), server.RemoteAddr())

	_, err := io.WriteString(client, "hello")
	require.NoError(t, err)
	require.NoError(t, client.(*memConn).CloseWrite())
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got), "half close: data, then EOF")
	_, err = io.WriteString(server, "still here")
	require.NoError(t, err)
	require.NoError(t, server.Close())
	got, err = io.ReadAll(client)
	require.NoError(t, err)
	assert.Equal(t, "still here", string(got))
	_, err = client.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, client.Close())
	require.ErrorIs(t, client.Close(), net.ErrClosed)
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

// whenAsked is a context that calls f each time somebody is about to wait for it.
type whenAsked struct {
	context.Context
	f func()
}

func (c whenAsked) Done() <-chan struct{} { c.f(); return c.Context.Done() }

// TestDialWhileTheListenerCloses is refused, or reset: nobody would ever serve it.
func TestDialWhileTheListenerCloses(t *testing.T) {
	for range 100 { // which of two things a select does is left to chance
		n := NewMemNetwork()
		ln, err := n.Listen("n")
		require.NoError(t, err)
		asked := 0
		nc, err := n.DialContext(whenAsked{t.Context(), func() {
			if asked++; asked == 2 { // the first time it is the gate that may have to be waited for
				ln.Close()
			}
		}}, "", "n")
		if err == nil {
			nc.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = nc.Read(make([]byte, 1))
			nc.Close()
			require.ErrorIs(t, err, syscall.ECONNRESET)
		} else {
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		require.Equal(t, 2, asked)
	}
}

func TestMemConnCloseWithUnreadDataResets(t *testing.T) {
	client, server := memPair(t, NewMemNetwork())
	io.WriteString(client, "never read")
	io.WriteString(server, "lost")
	require.NoError(t, server.Close())
	_, err := client.Read(make([]byte, 10))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = client.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestMemConnDeadlinesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := memPair(t, NewMemNetwork())
		start := time.Now()
		require.NoError(t, client.SetReadDeadline(start.Add(time.Second)))
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var ne net.Error
		require.True(t, errors.As(err, &ne) && ne.Timeout())
		assert.Equal(t, time.Second, time.Since(start))

		require.NoError(t, client.SetDeadline(start.Add(3*time.Second)))
		n, err := client.Write(make([]byte, memBuffer+1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, memBuffer, n, "the buffer is bounded")
		assert.Equal(t, 3*time.Second, time.Since(start))

		// A deadline that is set while somebody waits counts for him, too.
		require.NoError(t, client.SetDeadline(time.Time{}))
		go func() {
			time.Sleep(time.Second)
			client.SetReadDeadline(time.Unix(1, 0))
		}()
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

func TestMemNetworkKillAndRevive(t *testing.T) {
	mem := NewMemNetwork()
	s := startNode(t, Config{Addr: "n1", Network: mem})
	_, err := Start(Config{Addr: "n1", Network: mem})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	nc, err := mem.DialContext(t.Context(), "", "n1")
	require.NoError(t, err)
	defer nc.Close()
	require.Equal(t, "STORED\r\n", ask(t, nc, "set a 0 0 1\r\nx\r\n"))

	mem.Kill("n1")
	_, err = nc.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = mem.DialContext(t.Context(), "", "n1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = mem.DialContext(t.Context(), "", "nobody")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	mem.Revive("n1")
	nc2, err := mem.DialContext(t.Context(), "", "n1")
	require.NoError(t, err)
	defer nc2.Close()
	require.Equal(t, "HD\r\n", ask(t, nc2, "mg a\r\n"), "the same server, with its memory")

	require.NoError(t, s.Close())
	startNode(t, Config{Addr: "n1", Network: mem})
	nc3, err := mem.DialContext(t.Context(), "", "n1")
	require.NoError(t, err)
	defer nc3.Close()
	require.Equal(t, "EN\r\n", ask(t, nc3, "mg a\r\n"), "another server on the address")
}

func TestMemNetworkPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n1", Network: mem})
		nc, err := mem.DialContext(t.Context(), "", "n1")
		require.NoError(t, err)
		defer nc.Close()

		mem.Partition("n1", true)
		_, err = io.WriteString(nc, "mn\r\n")
		require.NoError(t, err, "the kernel takes it")
		nc.SetReadDeadline(time.Now().Add(time.Second))
		_, err = nc.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = mem.DialContext(ctx, "", "n1")
		require.ErrorIs(t, err, context.DeadlineExceeded)

		mem.Partition("n1", false)
		nc.SetReadDeadline(time.Time{})
		require.Equal(t, "", readUntil(t, nc, "MN\r\n"), "it arrives late")
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem, MaxBytes: 4096, MaxItemBytes: 4096})
		dial := func() net.Conn {
			nc, err := mem.DialContext(t.Context(), "", "n")
			require.NoError(t, err)
			t.Cleanup(func() { nc.Close() })
			return nc
		}
		watcher, nc := dial(), dial()
		io.WriteString(watcher, "watch bogus\r\n")
		require.Equal(t, "", readUntil(t, watcher, "ERROR\r\n"))
		io.WriteString(watcher, "watch mutations deletions evictions fetchers\r\n")
		require.Equal(t, "", readUntil(t, watcher, "OK\r\n"))
		ask(t, nc, "set a%b 0 10 3\r\nabc\r\nget a%b\r\ndelete a%b\r\nset x 0 0 3000\r\n"+strings.Repeat("x", 3000)+"\r\nset y 0 0 3000\r\n"+strings.Repeat("x", 3000)+"\r\n")
		synctest.Wait()
		log := readUntil(t, watcher, "cmd=set ttl=0 clsid=17 cfd=2 size=3000\n")
		log += readUntil(t, watcher, "cmd=set ttl=0 clsid=17 cfd=2 size=3000\n")
		for _, want := range []string{
			"type=item_get key=a%25b status=not_found", "type=item_store key=a%25b status=stored cmd=set ttl=10 clsid=1 cfd=2 size=3\n",
			"type=item_get key=a%25b status=found clsid=1 cfd=2 size=3\n", "type=deleted key=a%25b cmd=delete", "type=eviction key=x fetch=no ttl=-1",
		} {
			assert.Contains(t, log, want)
		}
	})
}
