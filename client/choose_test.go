package client_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// gated holds writes of large buffers back until the gate opens.
type gated struct {
	net.Conn
	gate  chan struct{}
	large *atomic.Int64
}

func (g *gated) Write(p []byte) (int, error) {
	if len(p) >= 64<<10 {
		g.large.Add(1)
		<-g.gate
	}
	return g.Conn.Write(p)
}

// While large values go out slowly, small requests of others are answered at once: the
// large ones have a connection of their own, whether it was open before or not.
func TestSmallRequestsDoNotWaitBehindLargeValues(t *testing.T) {
	lagged(t, 1, func(t *testing.T, l *logged, _ *lag) {
		gate := make(chan struct{})
		var large, dials atomic.Int64
		c, err := client.New(client.Config{
			Nodes: l.nodes(), Timeout: time.Minute,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				nc, err := l.dial(ctx, network, addr)
				return &gated{nc, gate, &large}, err
			},
		})
		require.NoError(t, err)
		set(t, c, "small", "v")
		require.EqualValues(t, 1, dials.Load())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, err := c.Set(context.Background(), client.Item{Key: "large", Value: make([]byte, 500<<10)})
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		require.EqualValues(t, 1, large.Load(), "the others queue behind the first")
		require.EqualValues(t, 2, dials.Load())
		start := time.Now()
		for range 300 { // enough to want the second connection, were it free
			wg.Go(func() {
				require.Equal(t, "v", get(t, c, "small"))
				require.Zero(t, time.Since(start))
			})
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		l.closeAll(c)
	})
}

// A node that takes one connection only gets large values on that.
func TestLargeValuesWhereThereIsOneConnection(t *testing.T) {
	for name, most := range map[string]int64{"refused": 1, "not wanted": 9} {
		t.Run(name, func(t *testing.T) {
			lagged(t, 1, func(t *testing.T, l *logged, _ *lag) {
				var dials atomic.Int64
				cfg := client.Config{
					Nodes: l.nodes(),
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						if dials.Add(1) > most {
							return nil, context.DeadlineExceeded
						}
						return l.dial(ctx, network, addr)
					},
				}
				if name == "not wanted" {
					cfg.ConnsPerNode = 1
				}
				c, err := client.New(cfg)
				require.NoError(t, err)
				set(t, c, "small", "v")
				for range 5 {
					_, err := c.Set(t.Context(), client.Item{Key: "large", Value: make([]byte, 500<<10)})
					require.NoError(t, err)
				}
				want := int64(1)
				if name == "refused" {
					want = 2 // tried once, and not again within the second
				}
				require.Equal(t, want, dials.Load())
				l.closeAll(c)
			})
		})
	}
}
