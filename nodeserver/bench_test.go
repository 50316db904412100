package nodeserver

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/require"
)

// BenchmarkNodeGetPipelined: two connections, meta gets of 100-byte values in
// pipelines of 64, to a node over TCP and to memcached -t 2 in the same run.
func BenchmarkNodeGetPipelined(b *testing.B) {
	for _, depth := range []int{1, 64} {
		b.Run(fmt.Sprintf("depth=%d/node", depth), func(b *testing.B) {
			benchGets(b, startNode(b, Config{}).Addr().String(), depth, "mg key:0000%04d v f O%d\r\n")
		})
		b.Run(fmt.Sprintf("depth=%d/memcached", depth), func(b *testing.B) {
			benchGets(b, stock.ForTest(b).Addr(), depth, "mg key:0000%04d v f O%d\r\n")
		})
	}
	b.Run("classic/depth=64/node", func(b *testing.B) {
		benchGets(b, startNode(b, Config{}).Addr().String(), 64, "get key:0000%04d\r\n")
	})
	b.Run("classic/depth=64/memcached", func(b *testing.B) {
		benchGets(b, stock.ForTest(b).Addr(), 64, "get key:0000%04d\r\n")
	})
}

func benchGets(b *testing.B, addr string, depth int, format string) {
	const keys = 1000
	setup, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	value := strings.Repeat("v", 100)
	var fill strings.Builder
	for i := range keys {
		fmt.Fprintf(&fill, "ms key:0000%04d 100 q\r\n%s\r\n", i, value)
	}
	require.Equal(b, "", ask(b, setup, fill.String()))
	setup.Close()

	b.SetParallelism(1) // times GOMAXPROCS: two connections on two processors
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer nc.Close()
		var req strings.Builder
		for i := range depth {
			if strings.Contains(format, "O%d") {
				fmt.Fprintf(&req, format, i*7%keys, 100+i)
			} else {
				fmt.Fprintf(&req, format, i*7%keys)
			}
		}
		batch := []byte(req.String())
		if _, err := nc.Write(batch); err != nil {
			b.Error(err)
			return
		}
		// The first reply shows how long the others are.
		one := len("VA 100 f0 O100\r\n") + 102
		if !strings.Contains(format, "O%d") {
			one = len("VALUE key:00000000 0 100\r\n") + 102 + len("END\r\n")
		}
		reply := make([]byte, one*depth)
		if _, err := io.ReadFull(nc, reply); err != nil {
			b.Error(err)
			return
		}
		for n := 0; pb.Next(); n++ {
			if n%depth != 0 {
				continue // one batch answers depth iterations
			}
			if _, err := nc.Write(batch); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(nc, reply); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkNodeSet: one connection, sets of 100 bytes in pipelines of 64, in memory.
func BenchmarkNodeSet(b *testing.B) {
	mem := NewMemNetwork()
	startNode(b, Config{Addr: "n", Network: mem})
	nc, err := mem.DialContext(b.Context(), "", "n")
	require.NoError(b, err)
	defer nc.Close()
	batch := []byte(strings.Repeat("ms key:00000001 100 q\r\n"+strings.Repeat("v", 100)+"\r\n", 63) + "ms key:00000001 100\r\n" + strings.Repeat("v", 100) + "\r\n")
	reply := make([]byte, 4)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%64 != 1 {
			continue
		}
		nc.Write(batch)
		io.ReadFull(nc, reply)
	}
}
