package nodeserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// spied is a listener whose connections call saw with what is about to be written to them.
type spied struct {
	net.Listener
	saw func(p []byte)
}

func (l spied) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return spiedConn{nc, l.saw}, err
}

type spiedConn struct {
	net.Conn
	saw func(p []byte)
}

func (c spiedConn) Write(p []byte) (int, error) { c.saw(p); return c.Conn.Write(p) }

// TryWrite is what replies are written with when nothing waits before them.
func (c spiedConn) TryWrite(p []byte) (int, error) { return c.Write(p) }

// TestWatchIsOnWhenItSaysSo: before OK is on its way the connection watches, so whoever has
// read it is told of everything from then on. (It was the other way round: a write between
// the two was told to nobody, and TestWatcherLeavesItsLoop waited for it on a slow machine.)
func TestWatchIsOnWhenItSaysSo(t *testing.T) {
	s, err := New(Config{})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	watched := make(chan watchKind, 1)
	go func() {
		ended <- s.Serve(spied{ln, func(p []byte) {
			if bytes.HasSuffix(p, []byte("OK\r\n")) {
				watched <- watchKind(s.watch.kinds.Load())
			}
		}})
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	io.WriteString(nc, "mn\r\nwatch mutations\r\n")
	assert.Equal(t, "MN\r\n", readUntil(t, nc, "OK\r\n"), "what was asked before is answered before")
	assert.Equal(t, watchMutations, <-watched)
	_, written := s.traffic()
	assert.EqualValues(t, len("MN\r\nOK\r\n"), written)
	require.NoError(t, s.Close())
	assert.ErrorIs(t, <-ended, ErrServerClosed)
}

// TestWatchersMissNothing: each sees every write that began after its OK was read.
func TestWatchersMissNothing(t *testing.T) {
	s := startNode(t, Config{})
	other := dialNode(t, s)
	for i := range scaled(200) {
		watcher := dialNode(t, s)
		io.WriteString(watcher, "watch mutations\r\n")
		readUntil(t, watcher, "OK\r\n")
		io.WriteString(other, fmt.Sprintf("set k%d 0 0 1 noreply\r\nx\r\n", i))
		assert.Contains(t, readUntil(t, watcher, "\n"), fmt.Sprintf("key=k%d ", i))
		io.WriteString(watcher, "anything") // is not looked at, and the place is free when it has gone
		watcher.Close()
		for s.watcherCount() > 0 {
			ask(t, other, "")
		}
	}
}

// clingy is a connection that takes nothing, and takes its time to close, as one with TLS does
// whose peer takes nothing: the goodbye has to fit into the socket.
type clingy struct {
	net.Conn
	closing, closed chan struct{}
}

func (clingy) SetWriteDeadline(time.Time) error { return nil }
func (clingy) Write([]byte) (int, error)        { return 0, os.ErrDeadlineExceeded }
func (c clingy) Close() error                   { close(c.closing); <-c.closed; return nil }

// TestNobodyWaitsForAGoodbye: an event is not kept by a watcher that is being closed; its sender
// holds locks that every other command needs.
func TestNobodyWaitsForAGoodbye(t *testing.T) {
	nc := clingy{closing: make(chan struct{}), closed: make(chan struct{})}
	var o output
	o.init(nc, time.Second, new(atomic.Uint64))
	require.True(t, o.offer([]byte("event"), watchQueue))
	<-nc.closing
	took := make(chan bool, 1)
	go func() { took <- o.offer([]byte("event"), watchQueue) }()
	select {
	case ok := <-took:
		assert.False(t, ok)
	case <-time.After(10 * time.Second):
		t.Error("waited until the connection was closed")
	}
	close(nc.closed)
	o.finish()
}
