package client_test

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// meddler stands between clients and a real memcached and meddles with its replies, one
// by one, as they pass.
type meddler struct {
	ln     net.Listener
	target string
	// lateEvery and strayEvery say which share of the replies is held back for up to
	// lateBy, and followed by a copy of an earlier one; 0 for none.
	lateEvery, strayEvery int
	lateBy                time.Duration

	replies, late, stray, conns atomic.Int64
	shared                      atomic.Int64 // values that came in answer to classic gets

	wg     sync.WaitGroup
	mu     sync.Mutex // guards what follows
	closed bool
	open   []net.Conn
}

// start listens and meddles until the test ends.
func (m *meddler) start(t *testing.T, target string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.ln, m.target = ln, target
	m.wg.Go(m.accept)
	t.Cleanup(m.close)
}

func (m *meddler) addr() string { return m.ln.Addr().String() }

func (m *meddler) close() {
	m.mu.Lock()
	m.closed = true
	m.ln.Close()
	for _, c := range m.open {
		c.Close()
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// keep registers a connection to be closed; false if it is too late for that.
func (m *meddler) keep(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		c.Close()
		return false
	}
	m.open = append(m.open, c)
	return true
}

func (m *meddler) accept() {
	for seed := uint64(0); ; seed++ {
		ours, err := m.ln.Accept()
		if err != nil {
			return
		}
		node, err := net.Dial("tcp", m.target)
		if err != nil || !m.keep(ours) || !m.keep(node) {
			ours.Close()
			continue
		}
		m.conns.Add(1)
		m.wg.Go(func() {
			_, _ = io.Copy(node, ours)
			node.Close()
		})
		m.wg.Go(func() {
			m.meddle(ours, bufio.NewReaderSize(node, 64<<10), rand.New(rand.NewPCG(seed, 7)))
			ours.Close()
		})
	}
}

// meddle passes replies from the node to a client.
func (m *meddler) meddle(client net.Conn, node *bufio.Reader, rng *rand.Rand) {
	out := bufio.NewWriterSize(client, 64<<10)
	var reply, earlier []byte
	for {
		line, err := node.ReadSlice('\n')
		if err != nil {
			return
		}
		reply = append(reply[:0], line...)
		sizeAt := 0 // of VA and VALUE, which of the line's words is the size of the data block
		switch {
		case bytes.HasPrefix(line, []byte("VA ")):
			sizeAt = 1
		case bytes.HasPrefix(line, []byte("VALUE ")):
			sizeAt = 3
			m.shared.Add(1)
		}
		if sizeAt > 0 {
			size, err := strconv.Atoi(string(bytes.Fields(line)[sizeAt]))
			if err != nil {
				return
			}
			head := len(reply)
			reply = append(reply, make([]byte, size+2)...)
			if _, err := io.ReadFull(node, reply[head:]); err != nil {
				return
			}
		}
		m.replies.Add(1)
		if m.lateEvery > 0 && rng.IntN(m.lateEvery) == 0 {
			m.late.Add(1)
			if out.Flush() != nil {
				return
			}
			time.Sleep(time.Duration(rng.Int64N(int64(m.lateBy))))
		}
		_, _ = out.Write(reply)
		if m.strayEvery > 0 && rng.IntN(m.strayEvery) == 0 {
			m.stray.Add(1)
			if len(earlier) == 0 || rng.IntN(2) == 0 {
				earlier = append(earlier[:0], reply...)
			}
			_, _ = out.Write(earlier)
		} else if rng.IntN(10) == 0 {
			earlier = append(earlier[:0], reply...)
		}
		if node.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}
