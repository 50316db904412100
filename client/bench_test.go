package client_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// BenchmarkGet is a get of 100 B from a real memcached by many goroutines at once.
func BenchmarkGet(b *testing.B) {
	s := stock.ForTest(b)
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr())})
	require.NoError(b, err)
	defer c.Close()
	ctx := context.Background()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%06d", i)
		_, err := c.Set(ctx, client.Item{Key: keys[i], Value: make([]byte, 100)})
		require.NoError(b, err)
	}
	for _, goroutines := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			var failed atomic.Int64
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					for i := g; left.Add(-1) >= 0; i += 7 {
						it, err := c.Get(ctx, keys[i%len(keys)])
						if err != nil || len(it.Value) != 100 {
							failed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			require.Zero(b, failed.Load())
		})
	}
}

// BenchmarkAllocs reports the allocations of single calls: one for a Get (the value),
// none for GetInto and Set.
func BenchmarkAllocs(b *testing.B) {
	s := stock.ForTest(b)
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr())})
	require.NoError(b, err)
	defer c.Close()
	ctx := context.Background()
	it := client.Item{Key: "key", Value: make([]byte, 100)}
	dst := make([]byte, 0, 128)
	b.Run("Set", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err = c.Set(ctx, it)
		}
	})
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err = c.Get(ctx, "key")
		}
	})
	b.Run("GetInto", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err = c.GetInto(ctx, "key", dst)
		}
	})
	require.NoError(b, err)
}
