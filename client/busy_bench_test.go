package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// BenchmarkBusyProcess measures how long a Get takes while the process never rests: 16 goroutines compute for 20 µs
// each and let others run. The runtime looks for replies every 10 ms then. gomemcache has its slot in turn. An operation is a
// slot of each; run it with -benchtime 5x.
func BenchmarkBusyProcess(b *testing.B) {
	s := stock.ForTest(b)
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr())})
	require.NoError(b, err)
	defer c.Close()
	g := memcache.New(s.Addr())
	g.MaxIdleConns = 64
	defer g.Close()
	ctx := context.Background()
	_, err = c.Set(ctx, client.Item{Key: "key", Value: make([]byte, 100)})
	require.NoError(b, err)
	gets := []struct {
		prefix string
		get    func() error
	}{
		{"", func() error { _, err := c.Get(ctx, "key"); return err }},
		{"gomemcache-", func() error { _, err := g.Get("key"); return err }},
	}
	for _, callers := range []int{1, 8, 32} {
		for _, think := range []time.Duration{time.Millisecond, 0} {
			b.Run(fmt.Sprintf("callers=%d/every=%v", callers, think), func(b *testing.B) {
				took := make([][]time.Duration, len(gets))
				for b.Loop() {
					for i := range gets {
						took[i] = append(took[i], busySlot(b, callers, think, gets[i].get)...)
					}
				}
				for i := range gets {
					slices.Sort(took[i])
					at := func(q float64) float64 { return float64(took[i][int(q*float64(len(took[i])-1))].Microseconds()) }
					b.ReportMetric(at(0.5), gets[i].prefix+"p50-µs")
					b.ReportMetric(at(0.99), gets[i].prefix+"p99-µs")
					b.ReportMetric(float64(len(took[i]))/float64(b.N), gets[i].prefix+"gets/op")
				}
			})
		}
	}
}

// busySlot has callers call get for half a second, each after a pause of think on average, while others compute.
func busySlot(b *testing.B, callers int, think time.Duration, get func() error) []time.Duration {
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for !over.Load() {
				for began := time.Now(); time.Since(began) < 20*time.Microsecond; {
				}
				runtime.Gosched()
			}
		})
	}
	took, failed := make([][]time.Duration, callers), make([]error, callers)
	for i := range took {
		wg.Go(func() {
			for !over.Load() && failed[i] == nil {
				if think > 0 {
					time.Sleep(rand.N(2 * think))
				}
				began := time.Now()
				failed[i] = get()
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	over.Store(true)
	wg.Wait()
	for _, err := range failed {
		require.NoError(b, err)
	}
	return slices.Concat(took...)
}
