package loader_test

import (
	"context"
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
