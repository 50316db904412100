package pipe

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/stock"
)

// BenchmarkGet is the bare pipe: gets of 100 B by many goroutines over one and two
// connections.
func BenchmarkGet(b *testing.B) {
	var calls Pool
	s := stock.ForTest(b)
	dial := func() *Conn {
		nc, err := net.Dial("tcp", s.Addr())
		require.NoError(b, err)
		return New(nc, Config{Timeout: time.Second, Go: func(f func()) bool { go f(); return true }, Calls: &calls})
	}
	ctx := context.Background()
	for _, nconn := range []int{1, 2} {
		conns := []*Conn{}
		for range nconn {
			conns = append(conns, dial())
		}
		k := calls.New()
		k.Req = memproto.Request{Cmd: memproto.CmdMetaSet, Key: []byte("key"), Value: make([]byte, 100)}
		require.NoError(b, conns[0].Start(ctx, k))
		require.True(b, conns[0].Wait(ctx, k))
		require.NoError(b, k.Err)
		for _, g := range []int{1, 8, 64, 256, 1024} {
			b.Run(fmt.Sprintf("conns=%d/g=%d", nconn, g), func(b *testing.B) {
				b.ReportAllocs()
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for range g {
					wg.Add(1)
					go func() {
						defer wg.Done()
						for left.Add(-1) >= 0 {
							c := conns[0]
							if nconn > 1 && conns[1].Pending() < c.Pending() {
								c = conns[1]
							}
							k := calls.New()
							k.Req = memproto.Request{Cmd: memproto.CmdMetaGet, Key: []byte("key"), Flags: memproto.FlagLv | memproto.FlagLf}
							if c.Start(ctx, k) != nil || !c.Wait(ctx, k) || len(k.Value) != 100 {
								panic("bad")
							}
							k.Free()
						}
					}()
				}
				wg.Wait()
			})
		}
		for _, c := range conns {
			c.Kill(net.ErrClosed)
		}
	}
}
