package pipe

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/stretchr/testify/require"
)

func BenchmarkGet(b *testing.B) {
	var calls Pool
	cmd := exec.Command("memcached", "-u", "nobody", "-p", "21999", "-l", "127.0.0.1", "-t", "2")
	require.NoError(b, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	var nc net.Conn
	dial := func() *Conn {
		var err error
		for range 100 {
			if nc, err = net.Dial("tcp", "127.0.0.1:21999"); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
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
