package nodeserver

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dialMem starts a node on a network of its own and returns a connection to it.
func dialMem(t *testing.T, cfg Config) (*Server, net.Conn) {
	t.Helper()
	cfg.Addr, cfg.Network = "n", NewMemNetwork()
	s := startNode(t, cfg)
	nc, err := cfg.Network.DialContext(t.Context(), "", "n")
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return s, nc
}

func TestAdminCommands(t *testing.T) {
	_, nc := dialMem(t, Config{})
	for _, c := range []struct{ send, want string }{
		{"cache_memlimit 128\r\n", "OK\r\n"},
		{"cache_memlimit 100 noreply\r\n", ""},
		{"cache_memlimit 1\r\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"},
		{"cache_memlimit 8\r\n", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"},
		{"cache_memlimit abc\r\n", "ERROR\r\n"},
		{"cache_memlimit -5\r\n", "ERROR\r\n"},
		{"cache_memlimit\r\n", "ERROR\r\n"},
		{"cache_memlimit 64 1 2\r\n", "ERROR\r\n"},
		{"lru_crawler enable\r\n", "OK\r\n"},
		{"lru_crawler crawl all\r\n", "OK\r\n"},
		{"lru_crawler sleep 100\r\n", "OK\r\n"},
		{"lru_crawler sleep x\r\n", "CLIENT_ERROR bad command line format\r\n"},
		{"lru_crawler foo\r\n", "ERROR\r\n"},
		{"lru_crawler\r\n", "ERROR\r\n"},
		{"lru mode flat\r\n", "OK\r\n"},
		{"lru bogus flat\r\n", "ERROR\r\n"},
		{"slabs automove 1\r\n", "OK\r\n"},
		{"slabs reassign 1 2\r\n", "NOSPARE source class has no spare pages\r\n"},
		{"slabs bogus 1\r\n", "ERROR\r\n"},
		{"shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n"},
		{"debugtime 5\r\n", "ERROR\r\n"},
		{"config get cluster\r\n", "ERROR\r\n"},
	} {
		assert.Equal(t, c.want, ask(t, nc, c.send), "%q", c.send)
	}
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT maxbytes 104857600\r\n")
}

func TestNoFlush(t *testing.T) {
	_, nc := dialMem(t, Config{Admin: Admin{NoFlush: true}})
	assert.Equal(t, "CLIENT_ERROR flush_all not allowed\r\n", ask(t, nc, "flush_all\r\n"))
	assert.Equal(t, "", ask(t, nc, "flush_all noreply\r\n"))
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT flush_enabled no\r\n")
}

func TestShutdownCommand(t *testing.T) {
	called := make(chan struct{}, 1)
	_, nc := dialMem(t, Config{Admin: Admin{Shutdown: func() { called <- struct{}{} }}})
	assert.Equal(t, "CLIENT_ERROR invalid shutdown mode\r\n", ask(t, nc, "shutdown foo\r\n"))
	io.WriteString(nc, "shutdown graceful\r\n")
	<-called
	_, err := nc.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "nothing is answered")
}

func TestDebugTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nc := dialMem(t, Config{Admin: Admin{DebugTime: true}})
		assert.Equal(t, "STORED\r\nOK\r\nHD t10\r\nOK\r\nEN\r\n",
			ask(t, nc, "set a 0 20 1\r\nx\r\ndebugtime 10\r\nmg a t\r\ndebugtime 10\r\nmg a t\r\n"))
		assert.Equal(t, "OK\r\nSTORED\r\nOK\r\nHD t15\r\nOK\r\nHD t15\r\n",
			ask(t, nc, "debugtime p\r\nset a 0 20 1\r\nx\r\ndebugtime 5\r\nmg a t\r\ndebugtime r\r\nmg a t\r\n"))
		assert.Equal(t, "ERROR\r\nERROR\r\n", ask(t, nc, "debugtime x\r\ndebugtime\r\n"))
	})
}

func TestConfigGetCluster(t *testing.T) {
	s, nc := dialMem(t, Config{Admin: Admin{Cluster: []string{"a.example|10.0.0.1|11211", "b.example||11211"}}})
	assert.Equal(t, "CONFIG cluster 0 44\r\n1\na.example|10.0.0.1|11211 b.example||11211\n\r\nEND\r\n", ask(t, nc, "config get cluster\r\n"))
	s.SetCluster([]string{"c|10.0.0.3|1"})
	assert.Equal(t, "CONFIG cluster 0 15\r\n2\nc|10.0.0.3|1\n\r\nEND\r\n", ask(t, nc, "config get cluster\r\n"))
	s.SetCluster(nil)
	assert.Equal(t, "ERROR\r\nERROR\r\n", ask(t, nc, "config get cluster\r\nconfig set cluster\r\n"))
}

// TestStatsDetail was recorded from memcached 1.6.18.
func TestStatsDetail(t *testing.T) {
	_, nc := dialMem(t, Config{})
	assert.Equal(t, "END\r\n", ask(t, nc, "get before:x\r\n"))
	ask(t, nc, "stats detail on\r\nset foo:a 0 0 1\r\nx\r\nget foo:a foo:b\r\ndelete foo:a\r\nget bar\r\nset :x 0 0 1\r\ny\r\nmg foo:a v\r\nms foo:q 1\r\nx\r\nincr foo:q 1\r\n")
	want := "PREFIX  get 0 hit 0 set 1 del 0\r\nPREFIX foo get 2 hit 1 set 1 del 1\r\nEND\r\n"
	assert.Equal(t, want, ask(t, nc, "stats detail dump\r\n"))
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT detail_enabled yes\r\n")
	ask(t, nc, "stats detail off\r\nget foo:a\r\n")
	assert.Equal(t, want, ask(t, nc, "stats detail dump\r\n"), "off stops the counting and forgets nothing")
	ask(t, nc, "stats detail on\r\n"+strings.Repeat("get many:x\r\n", 3))
	assert.Contains(t, ask(t, nc, "stats detail dump\r\n"), "PREFIX many get 3 hit 0 set 0 del 0\r\n")
}
