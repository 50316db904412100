package loader_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// BenchmarkNodeHit is a hit of 100 bytes on a real memcached: by the client alone, by a lease of it, and through a
// loader, by one goroutine and by 32 for each processor.
func BenchmarkNodeHit(b *testing.B) {
	c, err := client.New(client.Config{Nodes: ring.Addrs(stock.ForTest(b).Addr()), Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	l, err := loader.New(c, loader.Config[[]byte]{
		Codec: loader.Bytes{},
		Load:  func(context.Context, string) ([]byte, error) { return []byte(hundred), nil },
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	ctx := context.Background()
	_, err = l.Get(ctx, "user:42")
	require.NoError(b, err)
	for _, side := range []struct {
		name string
		get  func() error
	}{
		{"client", func() error { _, err := c.Get(ctx, "user:42"); return err }},
		{"lease", func() error { _, err := c.Lease(ctx, "user:42", client.LeaseOptions{}); return err }},
		{"loader", func() error { _, err := l.Get(ctx, "user:42"); return err }},
	} {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := side.get(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(side.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := side.get(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	require.EqualValues(b, 1, l.Counters().Loads)
}

// BenchmarkNodeHitRatio lets the sides of BenchmarkNodeHit take turns with 32 goroutines, round after round, and
// reports the medians of the rounds' ratios to the client's Get: what a loader costs beyond it.
func BenchmarkNodeHitRatio(b *testing.B) {
	c, err := client.New(client.Config{Nodes: ring.Addrs(stock.ForTest(b).Addr()), Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	load := func(context.Context, string) ([]byte, error) { return []byte(hundred), nil }
	l, err := loader.New(c, loader.Config[[]byte]{Codec: loader.Bytes{}, Load: load})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	ctx := context.Background()
	_, err = l.Get(ctx, "user:42")
	require.NoError(b, err)
	sides := []struct {
		name string
		get  func() error
	}{
		{"client", func() error { _, err := c.Get(ctx, "user:42"); return err }},
		{"lease", func() error { _, err := c.Lease(ctx, "user:42", client.LeaseOptions{}); return err }},
		{"loader", func() error { _, err := l.Get(ctx, "user:42"); return err }},
	}
	const goroutines, each, rounds = 32, 1000, 31
	ratios := make([][]float64, len(sides))
	for b.Loop() {
		for range rounds {
			took := make([]time.Duration, len(sides))
			for i, side := range sides {
				began := time.Now()
				var wg sync.WaitGroup
				for range goroutines {
					wg.Go(func() {
						for range each {
							if err := side.get(); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				took[i] = time.Since(began)
				ratios[i] = append(ratios[i], float64(took[i])/float64(took[0]))
			}
		}
	}
	for i, side := range sides[1:] {
		slices.Sort(ratios[i+1])
		b.ReportMetric(ratios[i+1][len(ratios[i+1])/2], side.name+"/client")
	}
	require.EqualValues(b, 1, l.Counters().Loads)
}
