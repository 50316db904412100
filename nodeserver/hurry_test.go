package nodeserver

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowd opens n connections to a node on mem and sends each what say returns for it.
func crowd(t *testing.T, mem *MemNetwork, n int, say func(i int) string) (all []*goldenPeer) {
	for i := range n {
		nc, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		p := newGoldenPeer(nc)
		io.WriteString(nc, say(i))
		all = append(all, p)
	}
	synctest.Wait()
	return all
}

func closedOf(all []*goldenPeer) (n int) {
	synctest.Wait()
	for _, p := range all {
		if _, closed := p.exchange(); closed {
			n++
		}
	}
	return n
}

func TestSlowSendersGoOnlyWhenConnectionsAreScarce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem, MaxConns: 20})
		typists := crowd(t, mem, 5, func(int) string { return "get half-a-li" })
		blocks := crowd(t, mem, 5, func(int) string { return "set k 0 0 100000\r\nabc" })
		quiet := crowd(t, mem, 5, func(int) string { return "mn\r\n" })
		time.Sleep(time.Hour)
		assert.Zero(t, closedOf(typists)+closedOf(blocks)+closedOf(quiet), "nobody is in anybody's way")
		// The 18th is more than 80 of 100.
		crowd(t, mem, 3, func(int) string { return "" })
		assert.Equal(t, 5, closedOf(typists))
		assert.Equal(t, 5, closedOf(blocks))
		assert.Zero(t, closedOf(quiet), "who waits with nothing half said stays")
		got, _ := quiet[0].exchange("stats\r\n")
		assert.Contains(t, got, "STAT slow_connections_dropped 10\r\n")
	})
}

func TestFastSendersStayWhenConnectionsAreScarce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem, MaxConns: 10})
		steady := crowd(t, mem, 1, func(int) string { return "set k 0 0 200000\r\n" })
		for range 20 {
			steady[0].exchange(strings.Repeat("x", 10_000))
			time.Sleep(time.Second)
		}
		crowd(t, mem, 9, func(int) string { return "" })
		assert.Zero(t, closedOf(steady))
		got, _ := steady[0].exchange("\r\n")
		assert.Equal(t, "STORED\r\n", got)
	})
}

// TestPendingBlocksAreBounded: 200 blocks of 1 MB that never end, at 16 MB.
func TestPendingBlocksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		s := startNode(t, Config{Addr: "n", Network: mem, MaxBytes: 16 << 20})
		const size = 1_000_000
		block := strings.Repeat("x", size-1)
		before := heap()
		all := crowd(t, mem, 200, func(i int) string { return fmt.Sprintf("set k%d 0 0 %d\r\n%s", i, size, block) })
		assert.LessOrEqual(t, s.pending.Load(), int64(4<<20))
		assert.Less(t, heap()-before, int64(4<<20+200*(100<<10)), "what is refused is kept by nobody")
		stored, refused := 0, 0
		for _, p := range all {
			got, closed := p.exchange("x\r\nmn\r\n")
			require.False(t, closed)
			switch got {
			case "STORED\r\nMN\r\n":
				stored++
			case outOfMemory + "\r\nMN\r\n":
				refused++
			default:
				t.Fatalf("answered %.100q", got)
			}
		}
		assert.GreaterOrEqual(t, stored, 2)
		assert.Equal(t, 200, stored+refused, "the stream stays in step")
		synctest.Wait()
		assert.Zero(t, s.pending.Load(), "and everything is given back")
	})
}

// heap is how many bytes are in use once the garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
