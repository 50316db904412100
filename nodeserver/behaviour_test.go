package nodeserver

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIntercept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem, Intercept: func(_ net.Addr, r *memproto.Request) Verdict {
			switch string(r.Key) {
			case "slow":
				return Verdict{Delay: 3 * time.Second}
			case "fake":
				return Verdict{Reply: []byte("SERVER_ERROR made up\r\n")}
			case "drop":
				return Verdict{Drop: true}
			case "lost":
				return Verdict{DropAfter: true}
			case "body":
				return Verdict{Reply: append(append([]byte("HD O"), r.Value...), "\r\n"...)}
			}
			return Verdict{}
		}})
		dial := func() net.Conn {
			nc, err := mem.DialContext(t.Context(), "", "n")
			require.NoError(t, err)
			t.Cleanup(func() { nc.Close() })
			return nc
		}
		nc := dial()
		assert.Equal(t, "SERVER_ERROR made up\r\nHD Oabc\r\nEN\r\n", ask(t, nc, "mg fake\r\nms body 3\r\nabc\r\nmg other\r\n"))
		start := time.Now()
		io.WriteString(nc, "mg fast\r\nmg slow\r\n")
		readUntil(t, nc, "EN\r\n")
		assert.Zero(t, time.Since(start), "what was answered before the delay is sent before it")
		readUntil(t, nc, "EN\r\n")
		assert.Equal(t, 3*time.Second, time.Since(start))

		io.WriteString(nc, "mg a\r\nms drop 1\r\nx\r\n")
		all, _ := io.ReadAll(nc)
		assert.Equal(t, "EN\r\n", string(all))
		nc = dial()
		io.WriteString(nc, "ms lost 1\r\nx\r\n")
		all, _ = io.ReadAll(nc)
		assert.Empty(t, all)
		nc = dial()
		io.WriteString(nc, "me drop\r\n")
		all, _ = io.ReadAll(nc)
		assert.Empty(t, all, "still dropped")
		assert.Regexp(t, `key=lost `, ask(t, dial(), "lru_crawler metadump all\r\n"), "lost was executed")
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem, IdleTimeout: 10 * time.Second})
		nc, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		defer nc.Close()
		start := time.Now()
		time.Sleep(7 * time.Second)
		require.Equal(t, "", ask(t, nc, ""))
		_, err = nc.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, 17*time.Second, time.Since(start))
	})
}

// TestIdleTimeoutSparesWatchers: memcached's does, too.
func TestIdleTimeoutSparesWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem, IdleTimeout: 10 * time.Second})
		watcher, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		defer watcher.Close()
		time.Sleep(7 * time.Second)
		io.WriteString(watcher, "watch mutations\r\n")
		readUntil(t, watcher, "OK\r\n")
		time.Sleep(time.Hour)
		other, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		defer other.Close()
		ask(t, other, "set k 0 0 1\r\nx\r\n")
		assert.Contains(t, readUntil(t, watcher, "\n"), " key=k ")
	})
}

func TestDelayedFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem})
		nc, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		defer nc.Close()
		require.Equal(t, "STORED\r\nOK\r\n", ask(t, nc, "set a 0 0 1\r\nx\r\nflush_all 10\r\n"))
		time.Sleep(5 * time.Second)
		require.Equal(t, "HD\r\nSTORED\r\n", ask(t, nc, "mg a u\r\nset b 0 0 1\r\nx\r\n"))
		time.Sleep(5 * time.Second)
		require.Equal(t, "EN\r\nEN\r\nSTORED\r\nHD\r\n", ask(t, nc, "mg a\r\nmg b\r\nset c 0 0 1\r\nx\r\nmg c\r\n"))
	})
}

// TestLeaseWalk goes through the life of a lease, with versions taken from replies.
func TestLeaseWalk(t *testing.T) {
	nc := dialNode(t, startNode(t, Config{}))
	version := func(reply string) string {
		m := regexp.MustCompile(` c(\d+)`).FindStringSubmatch(reply)
		require.NotNil(t, m, reply)
		return m[1]
	}
	hide := func(reply string) string { return regexp.MustCompile(` c\d+`).ReplaceAllString(reply, " c#") }

	assert.Equal(t, "VA 0 t-1 W\r\n\r\nHD\r\n", ask(t, nc, "mg k v t N30\r\nmd k\r\n"), "t before N: no TTL yet")
	won := ask(t, nc, "mg k v f c N30 t\r\n")
	assert.Equal(t, "VA 0 f0 c# t30 W\r\n\r\n", hide(won))
	assert.Equal(t, "VA 0 f0 Z\r\n\r\n", ask(t, nc, "mg k v f N30\r\n"), "the others wait")
	assert.Equal(t, "HD\r\n", ask(t, nc, "md k C"+version(won)+"\r\n"), "the holder gives up")
	again := ask(t, nc, "mg k v f c N30\r\n")
	assert.Equal(t, "VA 0 f0 c# W\r\n\r\n", hide(again), "the next wins at once")
	assert.Equal(t, "EX\r\n", ask(t, nc, "ms k 3 C"+version(won)+"\r\nold\r\n"), "the old token is void")
	assert.Equal(t, "HD\r\n", ask(t, nc, "ms k 3 T100 F5 C"+version(again)+"\r\nnew\r\n"))
	assert.Equal(t, "VA 3 f5\r\nnew\r\n", ask(t, nc, "mg k v f N30 R30\r\n"), "filled: no marks")
	assert.Equal(t, "VA 3 f5 W\r\nnew\r\n", ask(t, nc, "mg k v f R200\r\n"), "early refresh")
	assert.Equal(t, "VA 3 f5 Z\r\nnew\r\n", ask(t, nc, "mg k v f R200\r\n"))

	assert.Equal(t, "HD\r\n", ask(t, nc, "md k I T30\r\n"))
	stale := ask(t, nc, "mg k v t c\r\n")
	assert.Equal(t, "VA 3 t30 c# X W\r\nnew\r\n", hide(stale))
	assert.Equal(t, "HD Z X\r\n", ask(t, nc, "mg k\r\n"))
	late := strconv.Itoa(int(must(strconv.Atoi(version(stale)))) - 1)
	assert.Equal(t, "HD\r\n", ask(t, nc, "ms k 4 I T0 C"+late+"\r\nlate\r\n"))
	assert.Equal(t, "VA 4 t30 Z X\r\nlate\r\n", ask(t, nc, "mg k v t\r\n"), "stored, but stale, with the old TTL")

	assert.Equal(t, "HD\r\n", ask(t, nc, "md k x I T5 E1000000\r\n"), "a tombstone")
	assert.Equal(t, "VA 0 f0 c1000000 t5 X W\r\n\r\n", ask(t, nc, "mg k v f c t\r\n"))
	assert.Equal(t, "HD c2000000\r\n", ask(t, nc, "ms k 1 c C1000000 E2000000\r\nx\r\n"))
	assert.Equal(t, "HD c2000000\r\n", ask(t, nc, "mg k v c C2000000\r\n"), "unchanged: no value")
	assert.Equal(t, "VA 1 c2000000\r\nx\r\n", ask(t, nc, "mg k v c C1\r\n"))
	assert.Equal(t, "HD s2\r\nHD\r\nVA 3 t20\r\nabc\r\n", ask(t, nc, "ms k 1 MA s\r\ny\r\nms new 3 MA N20\r\nabc\r\nmg new v t\r\n"))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestStats(t *testing.T) {
	s := startNode(t, Config{})
	nc := dialNode(t, s)
	ask(t, nc, "set a 0 0 1\r\nx\r\nget a\r\nget b\r\nincr b 1\r\ndelete b\r\ntouch a 0\r\nflush_all 100\r\n")
	general := ask(t, nc, "stats\r\n")
	for _, want := range []string{"cmd_get 2", "cmd_set 1", "get_hits 1", "get_misses 1", "incr_misses 1", "delete_misses 1",
		"cmd_touch 1", "touch_hits 1", "cmd_flush 1", "curr_items 1", "bytes 61", "curr_connections 1", "limit_maxbytes 67108864", "version " + Version} {
		assert.Contains(t, general, "STAT "+want+"\r\n")
	}
	local := nc.LocalAddr().String()
	conns := ask(t, nc, "stats conns\r\n")
	assert.Contains(t, conns, ":state conn_listening\r\n")
	assert.Contains(t, conns, "STAT 1:addr tcp:"+local+"\r\n")
	assert.Contains(t, conns, "STAT 1:state conn_parse_cmd\r\n")
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT maxconns 1024\r\n")
	assert.Contains(t, ask(t, nc, "stats items\r\n"), "STAT items:1:number 1\r\n")
	assert.Contains(t, ask(t, nc, "stats slabs\r\n"), "STAT active_slabs 0\r\n")
	assert.Equal(t, "RESET\r\n", ask(t, nc, "stats reset\r\n"))
	assert.Contains(t, ask(t, nc, "stats\r\n"), "STAT cmd_get 0\r\n")
	assert.Contains(t, ask(t, nc, "stats cachedump 1 0\r\n"), "ITEM a [1 b; 0 s]\r\n")
	assert.Regexp(t, `^key=a exp=-1 la=\d+ cas=1 fetch=yes cls=1 size=61 flags=0\nEND`, strings.TrimPrefix(ask(t, nc, "lru_crawler metadump all\r\n"), "OK\r\n"))
}

// TestMissesOfCounters are those of memcached: a counter that ma has made was not missed.
func TestMissesOfCounters(t *testing.T) {
	const (
		asked = "ma a N0\r\nma b MD N0\r\nma none\r\nma none MD\r\nincr none 1\r\ndecr none 1\r\ndecr none 1\r\n"
		want  = "STAT incr_misses 2\r\nSTAT incr_hits 0\r\nSTAT decr_misses 3\r\nSTAT decr_hits 0\r\n"
	)
	_, nc := dialMem(t, Config{})
	assert.Contains(t, ask(t, nc, asked+"stats\r\n"), want)
	assert.Contains(t, newDuel(t, stock.ForTest(t).Addr()).ask(asked+"stats\r\n"), want)
}

// TestUsedInALaterSecond: a batch goes by the second in which it was read; what another
// connection has used in the next one, in the middle of it, was used no seconds ago.
func TestUsedInALaterSecond(t *testing.T) {
	var s *Server
	start := time.Now()
	var later atomic.Int64
	s, nc := dialMem(t, Config{
		Now: func() time.Time { return start.Add(time.Duration(later.Load())) },
		Intercept: func(_ net.Addr, r *memproto.Request) Verdict {
			if r.Cmd == memproto.CmdMetaGet {
				later.Add(int64(time.Second))
				tx := s.store.Begin(r.Key, s.clock.sec())
				tx.Bump()
				tx.End()
			}
			return Verdict{}
		},
	})
	got := ask(t, nc, "set k 0 0 1\r\nx\r\nmg k l u\r\nme k\r\n")
	assert.Contains(t, got, "HD l0\r\n")
	assert.Contains(t, got, " la=0 ")
}

// TestMemoryIsBounded stores ten times what fits.
func TestMemoryIsBounded(t *testing.T) {
	s := startNode(t, Config{MaxBytes: 4 << 20, MaxItemBytes: 64 << 10})
	nc := dialNode(t, s)
	value := strings.Repeat("v", 10_000)
	for i := range 4000 {
		_, err := io.WriteString(nc, "ms key"+strconv.Itoa(i)+" 10000 q\r\n"+value+"\r\n")
		require.NoError(t, err)
	}
	require.Equal(t, "", ask(t, nc, ""))
	st := s.store.Stats()
	assert.LessOrEqual(t, st.Bytes, uint64(4<<20))
	assert.Greater(t, st.Bytes, uint64(3<<20))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	assert.Less(t, m.HeapAlloc, uint64(32<<20))
}

// TestAnnouncedLengthsAllocateNothing: a connection that announces much and sends
// little costs little.
func TestAnnouncedLengthsAllocateNothing(t *testing.T) {
	s := startNode(t, Config{MaxBytes: 512 << 20, MaxItemBytes: 128 << 20})
	nc := dialNode(t, s)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := io.WriteString(nc, "set k 0 0 100000000\r\n"+strings.Repeat("x", 100_000))
	require.NoError(t, err)
	require.Eventually(t, func() bool { read, _ := s.traffic(); return read > 100_000 }, 10*time.Second, time.Millisecond)
	s.Close() // the connection's goroutine has ended: it allocates no more
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

func TestConfigErrors(t *testing.T) {
	for want, cfg := range map[string]Config{
		"MaxBytes":     {MaxBytes: -1},
		"MaxConns":     {MaxConns: -1},
		"timeout":      {IdleTimeout: -1},
		"MaxItemBytes": {MaxItemBytes: 2 << 30, MaxBytes: 4 << 30},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := Start(Config{Addr: "256.0.0.1:1"})
	require.Error(t, err)
}

func TestNoEvictAnswersOutOfMemory(t *testing.T) {
	s := startNode(t, Config{MaxBytes: 64 << 10, MaxItemBytes: 16 << 10, NoEvict: true})
	nc, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	v := strings.Repeat("v", 12<<10)
	require.Equal(t, "STORED\r\n", ask(t, nc, "set n 0 0 1\r\n9\r\n"))
	i := 0
	for ask(t, nc, fmt.Sprintf("set big%d 0 0 %d\r\n%s\r\n", i, len(v), v)) == "STORED\r\n" {
		i++
	}
	require.Greater(t, i, 2)
	const oom = "SERVER_ERROR out of memory storing object\r\n"
	assert.Equal(t, oom, ask(t, nc, fmt.Sprintf("ms x %d\r\n%s\r\n", len(v), v)))
	assert.Equal(t, oom+"END\r\n", ask(t, nc, fmt.Sprintf("set n 0 0 %d\r\n%s\r\nget n\r\n", len(v), v)), "the old value is dropped")
	assert.Contains(t, ask(t, nc, "get big0\r\n"), v, "and others are not")
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT evictions off")
	assert.NotContains(t, ask(t, nc, "stats\r\n"), "STAT store_no_memory 0\r")
	assert.Equal(t, "DELETED\r\n", ask(t, nc, "delete big0\r\n"))
	assert.Equal(t, "STORED\r\n", ask(t, nc, fmt.Sprintf("set y 0 0 %d\r\n%s\r\n", len(v), v)))
}
