package nodeserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// served counts the connections by who serves them.
func served(s *Server) (inLoops, byGoroutines int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.wire.Lock()
		if c.host != nil {
			inLoops++
		} else {
			byGoroutines++
		}
		c.wire.Unlock()
	}
	return inLoops, byGoroutines
}

// ways are the ways to serve TCP: loops with threads, without, and goroutines.
var ways = []int{1, 3, 0, -1}

// inLoops runs a test in a loop with a thread of its own, and in those that park.
func inLoops(t *testing.T, f func(t *testing.T, cfg Config)) {
	t.Run("thread", func(t *testing.T) { f(t, Config{Loops: 1}) })
	t.Run("parked", func(t *testing.T) { f(t, Config{}) })
}

func TestWhoServesWhom(t *testing.T) {
	for _, loops := range ways {
		s := startNode(t, Config{Loops: loops})
		ask(t, dialNode(t, s), "")
		in, out := served(s)
		assert.Equal(t, loops >= 0, in == 1, "%d loops: %d, %d", loops, in, out)
		assert.Equal(t, 1, in+out)
	}
	for _, loops := range []int{1, 0} {
		s := startNode(t, Config{Loops: loops, Addr: "unix:" + filepath.Join(t.TempDir(), "s")})
		ask(t, dialNode(t, s), "")
		in, _ := served(s)
		assert.Equal(t, 1, in, "Unix sockets, too")
	}
}

// TestGoldenRepliesOverTCP: the recorded dialogues, in loops and without.
func TestGoldenRepliesOverTCP(t *testing.T) {
	for _, loops := range ways {
		addr := startNode(t, Config{Loops: loops, Now: func() time.Time { return recorded }}).Addr().String()
		for _, c := range loadGolden(t) {
			if c.old, c.oldEnd = c.node, c.nodeEnd; c.oldEnd == "waits" || c.name == oneRead {
				continue // see TestGoldenRepliesLive
			}
			if bad := playLive(addr, &c); bad != "" {
				t.Errorf("%d loops: %s: %s", loops, c.name, bad)
			}
		}
	}
}

// TestManyConnectionsInLoops: streams cut anywhere, on many connections at once, are
// answered as on one connection without a network.
func TestManyConnectionsInLoops(t *testing.T) {
	for _, loops := range ways {
		s := startNode(t, Config{Loops: loops})
		var wg sync.WaitGroup
		for i := range 40 {
			nc := dialNode(t, s)
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), 1))
				var in, want bytes.Buffer
				for k := range scaled(200) {
					v := strings.Repeat(string(rune('a'+k%26)), rng.IntN(3000))
					fmt.Fprintf(&in, "set k%d 7 0 %d\r\n%s\r\nget k%d none\r\n", i, len(v), v, i)
					fmt.Fprintf(&want, "STORED\r\nVALUE k%d 7 %d\r\n%s\r\nEND\r\n", i, len(v), v)
				}
				go func() {
					for in.Len() > 0 {
						if _, err := nc.Write(in.Next(1 + rng.IntN(9000))); err != nil {
							return // shows in what is read
						}
					}
				}()
				got := make([]byte, want.Len())
				_, err := io.ReadFull(nc, got)
				assert.NoError(t, err)
				assert.True(t, bytes.Equal(want.Bytes(), got))
			})
		}
		wg.Wait()
	}
}

// TestNobodyWaitsForASlowReader: one that does not take its replies leaves the loop it
// shares, is served on, and the others are not kept.
func TestNobodyWaitsForASlowReader(t *testing.T) { inLoops(t, testNobodyWaitsForASlowReader) }

func testNobodyWaitsForASlowReader(t *testing.T, cfg Config) {
	s := startNode(t, cfg)
	slow, other := dialNode(t, s), dialNode(t, s)
	v := strings.Repeat("v", 1<<20-1000)
	ask(t, slow, fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", len(v), v))
	const n = 32 // twice times as much as the node keeps for one connection
	_, err := io.WriteString(slow, strings.Repeat("get big\r\n", n)+"mn\r\n")
	require.NoError(t, err)
	for {
		ask(t, other, "")
		if in, out := served(s); in == 1 && out == 1 {
			break
		}
	}
	got, err := io.ReadAll(io.LimitReader(slow, int64(n*(len(v)+len("VALUE big 0 1047576\r\n\r\nEND\r\n"))+len("MN\r\n"))))
	require.NoError(t, err)
	assert.True(t, bytes.HasSuffix(got, []byte("END\r\nMN\r\n")))
	assert.Equal(t, "END\r\n", ask(t, slow, "get none\r\n"), "it goes on as before")
	io.WriteString(slow, "get big\r\nquit\r\n")
	rest, err := io.ReadAll(slow)
	require.NoError(t, err)
	assert.Len(t, rest, len(v)+len("VALUE big 0 1047576\r\n\r\nEND\r\n"))
}

// TestQuitBehindMuch: the last replies of a connection that ends in a loop are sent, even
// when the socket does not take them at once.
func TestQuitBehindMuch(t *testing.T) { inLoops(t, testQuitBehindMuch) }

func testQuitBehindMuch(t *testing.T, cfg Config) {
	cfg.MaxItemBytes = 16 << 20
	s := startNode(t, cfg)
	nc := dialNode(t, s)
	v := strings.Repeat("v", 15<<20)
	go fmt.Fprintf(nc, "set big 0 0 %d\r\n%s\r\nget big\r\nquit\r\n", len(v), v)
	got, err := io.ReadAll(nc)
	require.NoError(t, err)
	assert.Equal(t, len("STORED\r\nVALUE big 0 15728640\r\n\r\nEND\r\n")+len(v), len(got))
}

// TestWatcherLeavesItsLoop, and so does who has everything listed.
func TestWatcherLeavesItsLoop(t *testing.T) { inLoops(t, testWatcherLeavesItsLoop) }

func testWatcherLeavesItsLoop(t *testing.T, cfg Config) {
	s := startNode(t, cfg)
	watcher, lister, other := dialNode(t, s), dialNode(t, s), dialNode(t, s)
	io.WriteString(watcher, "watch mutations\r\n")
	readUntil(t, watcher, "OK\r\n")
	ask(t, other, "set k 0 0 1\r\nx\r\n")
	assert.Contains(t, readUntil(t, watcher, "\n"), "type=item_store key=k")
	assert.Contains(t, ask(t, lister, "lru_crawler metadump all\r\n"), "key=k ")
	in, out := served(s)
	assert.Equal(t, []int{1, 2}, []int{in, out})
}

// TestWhoLeavesTakesNoThread: only loops have threads of their own.
func TestWhoLeavesTakesNoThread(t *testing.T) {
	s := startNode(t, Config{Loops: 1})
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		require.NoError(t, err)
		return len(tasks)
	}
	const n = 100
	before := threads()
	for range n {
		ask(t, dialNode(t, s), "lru_crawler metadump all\r\n")
	}
	_, out := served(s)
	require.Equal(t, n, out)
	assert.Less(t, threads(), before+n/2)
}

func TestIdleInALoop(t *testing.T) { inLoops(t, testIdleInALoop) }

func testIdleInALoop(t *testing.T, cfg Config) {
	cfg.IdleTimeout = 20 * time.Millisecond
	s := startNode(t, cfg)
	silent, half := dialNode(t, s), dialNode(t, s)
	io.WriteString(half, "get ha")
	for _, nc := range []net.Conn{silent, half} {
		got, err := io.ReadAll(nc)
		require.NoError(t, err)
		assert.Empty(t, got)
	}
}

// TestEndsOfLoops: Shutdown answers what has been sent, Close ends everything, and either
// may meet connections that come at that moment.
func TestEndsOfLoops(t *testing.T) {
	for i := range scaled(60) {
		s, err := Start(Config{Loops: i % 4})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				nc, err := net.Dial("tcp", s.Addr().String())
				if err != nil {
					return
				}
				defer nc.Close()
				for {
					if _, err := io.WriteString(nc, "set k 0 0 1\r\nx\r\n"); err != nil {
						return
					}
					got := make([]byte, len("STORED\r\n"))
					if n, err := io.ReadFull(nc, got); err != nil {
						assert.Zero(t, n, "half a reply")
						return
					}
				}
			})
		}
		if i%2 == 0 {
			require.NoError(t, s.Shutdown(context.Background()))
		}
		require.NoError(t, s.Close())
		wg.Wait()
		assert.Empty(t, s.conns)
	}
}

// TestHalfACommandIsKept: what has come of a command when the loop turns to others is the
// connection's own.
func TestHalfACommandIsKept(t *testing.T) { inLoops(t, testHalfACommandIsKept) }

func testHalfACommandIsKept(t *testing.T, cfg Config) {
	s := startNode(t, cfg)
	a, b := dialNode(t, s), dialNode(t, s)
	v := strings.Repeat("0123456789", 4_000)
	text := fmt.Sprintf("set a 0 0 %d\r\n%s\r\n", len(v), v)
	for rest := text; rest != ""; {
		n := min(len(rest), 4001)
		_, err := io.WriteString(a, rest[:n])
		require.NoError(t, err)
		rest = rest[n:]
		ask(t, b, "set b 0 0 5\r\nother\r\n")
	}
	readUntil(t, a, "STORED\r\n")
	io.WriteString(a, "get a\r\n")
	want := fmt.Sprintf("VALUE a 0 %d\r\n%s\r\nEND\r\n", len(v), v)
	got := make([]byte, len(want))
	_, err := io.ReadFull(a, got)
	require.NoError(t, err)
	assert.True(t, want == string(got))
}

// TestHalfACommandIsKeptWhenAnotherLeaves: who leaves a loop takes the loop's read buffer with
// it, which whose command is still unfinished has not borrowed.
func TestHalfACommandIsKeptWhenAnotherLeaves(t *testing.T) {
	inLoops(t, testHalfACommandIsKeptWhenAnotherLeaves)
}

func testHalfACommandIsKeptWhenAnotherLeaves(t *testing.T, cfg Config) {
	s := startNode(t, cfg)
	n := runtime.GOMAXPROCS(0) // one pair a loop
	halves, leavers := make([]net.Conn, n), make([]net.Conn, n)
	for _, list := range [][]net.Conn{halves, leavers} {
		for i := range list {
			list[i] = dialNode(t, s)
			ask(t, list[i], "")
		}
	}
	all := func(text string) {
		before, _ := s.traffic()
		for _, nc := range halves {
			io.WriteString(nc, text)
		}
		require.Eventually(t, func() bool {
			now, _ := s.traffic()
			return now == before+uint64(n*len(text))
		}, 10*time.Second, time.Millisecond)
	}
	all("get a")
	for _, nc := range leavers {
		io.WriteString(nc, "watch mutations\r\n")
		readUntil(t, nc, "OK\r\n")
	}
	all("b")
	for _, nc := range halves {
		assert.Equal(t, "END\r\n", ask(t, nc, " c\r\n"))
	}
}

// TestLoopsDoNotAllocate: requests and replies over TCP cost the collector nothing.
func TestLoopsDoNotAllocate(t *testing.T) { inLoops(t, testLoopsDoNotAllocate) }

func testLoopsDoNotAllocate(t *testing.T, cfg Config) {
	s := startNode(t, cfg)
	nc := dialNode(t, s)
	ask(t, nc, "set k 0 0 5\r\nvalue\r\n")
	in, got := []byte("get k\r\nms k 5\r\nvalue\r\n"), make([]byte, len("VALUE k 0 5\r\nvalue\r\nEND\r\nHD\r\n"))
	run := func() {
		nc.Write(in)
		_, err := io.ReadFull(nc, got)
		require.NoError(t, err)
	}
	for range 100 {
		run()
	}
	assert.Less(t, testing.AllocsPerRun(1000, run), 1.0)
}

// TestTrafficIsCounted, of connections that are there and that have gone.
func TestTrafficIsCounted(t *testing.T) {
	for _, loops := range ways {
		s := startNode(t, Config{Loops: loops})
		a, b := dialNode(t, s), dialNode(t, s)
		ask(t, a, "") // mn, answered MN
		ask(t, b, "")
		io.WriteString(b, "quit\r\n")
		_, err := io.ReadAll(b)
		require.NoError(t, err)
		read, written := s.traffic()
		assert.EqualValues(t, len("mn\r\nmn\r\nquit\r\n"), read)
		assert.EqualValues(t, len("MN\r\nMN\r\n"), written)
		s.resetStats()
		ask(t, a, "")
		read, written = s.traffic()
		assert.EqualValues(t, len("mn\r\n"), read)
		assert.EqualValues(t, len("MN\r\n"), written)
	}
}

// TestS16NoUDP: of the process's sockets, while a node serves, none is a UDP socket.
func TestS16NoUDP(t *testing.T) {
	ask(t, dialNode(t, startNode(t, Config{})), "")
	own := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:[") {
			own[strings.Trim(to, "socket:[]")] = true
		}
	}
	inode := func(table string) (n int) {
		text, err := os.ReadFile(table)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && own[f[9]] {
				n++
			}
		}
		return n
	}
	assert.NotZero(t, inode("/proc/net/tcp"), "the way to look for them finds the TCP sockets")
	assert.Zero(t, inode("/proc/net/udp"))
}
