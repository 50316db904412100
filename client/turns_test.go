package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// turns compares clients that take turns on one memcached in one run, as a shared and
// noisy machine demands. The first is what the others are compared with.
type turns struct {
	b       *testing.B
	server  *stock.Server
	names   []string
	clients []*Client
	keys    []string
}

func newTurns(b *testing.B) *turns {
	t := &turns{b: b, server: stock.ForTest(b), keys: make([]string, 1000)}
	for i := range t.keys {
		t.keys[i] = fmt.Sprint("key:", i)
	}
	return t
}

// add makes one more client of cfg, without its Nodes and Timeout.
func (t *turns) add(name string, cfg Config) *Client {
	cfg.Nodes, cfg.Timeout = ring.Addrs(t.server.Addr()), 5*time.Second
	c, err := New(cfg)
	require.NoError(t.b, err)
	t.b.Cleanup(func() { c.Close() })
	t.names, t.clients = append(t.names, name), append(t.clients, c)
	return c
}

// run has them get 100 B as fast as they can. An iteration is a round in which each has
// one turn, so use -benchtime 31x or so; what is reported is the median over the rounds
// of how much longer an operation took, in percent.
func (t *turns) run(goroutines ...int) {
	for _, key := range t.keys {
		_, err := t.clients[0].Set(context.Background(), item.Item{Key: key, Value: make([]byte, 100)})
		require.NoError(t.b, err)
	}
	for _, g := range goroutines {
		t.b.Run(fmt.Sprintf("goroutines=%d", g), func(b *testing.B) {
			rates := make([][]float64, len(t.clients))
			for round := range b.N {
				for i := range t.clients {
					v := (i + round) % len(t.clients)
					rates[v] = append(rates[v], t.rate(t.clients[v], g))
				}
			}
			for v := 1; v < len(rates); v++ {
				longer := make([]float64, b.N)
				for r := range longer {
					longer[r] = 100 * (rates[0][r]/rates[v][r] - 1)
				}
				slices.SortFunc(longer, cmp.Compare)
				b.ReportMetric(longer[len(longer)/2], strings.ReplaceAll(t.names[v], " ", "_")+"_%")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// rate is how many gets a second so many goroutines get done in one turn.
func (t *turns) rate(c *Client, goroutines int) float64 {
	const turn = 100 * time.Millisecond
	var over, failed atomic.Bool
	var total atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	defer time.AfterFunc(turn, func() { over.Store(true) }).Stop()
	for g := range goroutines {
		wg.Go(func() {
			n := int64(0)
			for i := g; n == 0 || !over.Load(); i += 7 {
				it, err := c.Get(context.Background(), t.keys[i%len(t.keys)])
				if err != nil || len(it.Value) != 100 {
					failed.Store(true)
				}
				n++
			}
			total.Add(n)
		})
	}
	wg.Wait()
	require.False(t.b, failed.Load())
	return float64(total.Load()) / time.Since(start).Seconds()
}
