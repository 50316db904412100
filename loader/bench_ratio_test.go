package loader

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// BenchmarkNodeHitRatio lets the client's Get, its lease, a loader's Get and what that decodes, alone, take turns, round after
// round, and reports the medians of the rounds' ratios to the client's Get: what a loader costs beyond it, and how much of
// that is decoding. 32 goroutines' Gets share commands, which leases cannot.
func BenchmarkNodeHitRatio(b *testing.B) {
	c, err := client.New(client.Config{Nodes: ring.Addrs(stock.ForTest(b).Addr()), Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	const key = "user:42"
	load := func(context.Context, string) ([]byte, error) { return bytes.Repeat([]byte("x"), 100), nil }
	l, err := New(c, Config[[]byte]{Codec: Bytes{}, Load: load})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	ctx := context.Background()
	_, err = l.Get(ctx, key)
	require.NoError(b, err)
	lease, err := c.Lease(ctx, key, client.LeaseOptions{})
	require.NoError(b, err)
	require.Equal(b, item.FromNode, lease.Level)
	sides := []struct {
		name string
		get  func() error
	}{
		{"client", func() error { _, err := c.Get(ctx, key); return err }},
		{"lease", func() error { _, err := c.Lease(ctx, key, client.LeaseOptions{}); return err }},
		{"loader", func() error { _, err := l.Get(ctx, key); return err }},
		{"decoding", func() error { var e envelope; _, err := l.openHit(key, &lease, &e); return err }},
		{"client+decoding", func() error {
			it, err := c.Get(ctx, key)
			if err == nil {
				var e envelope
				_, err = l.openAs(key, it.Value, &e, l.decodeOwn)
			}
			return err
		}},
	}
	for _, goroutines := range []int{1, 8, 32} {
		b.Run(strconv.Itoa(goroutines), func(b *testing.B) {
			const rounds = 31
			each := 1000
			if goroutines < 32 {
				each = 500 // they are ten times as long on the way
			}
			ratios := make([][]float64, len(sides))
			for b.Loop() {
				for range rounds {
					took := make([]time.Duration, len(sides))
					for _, i := range rand.Perm(len(sides)) {
						took[i] = timeGets(b, goroutines, each, sides[i].get)
					}
					for i := range sides {
						ratios[i] = append(ratios[i], float64(took[i])/float64(took[0]))
					}
				}
			}
			for i, side := range sides[1:] {
				slices.Sort(ratios[i+1])
				b.ReportMetric(ratios[i+1][len(ratios[i+1])/2], side.name+"/client")
			}
		})
	}
	require.EqualValues(b, 1, l.Counters().Loads)
}

// timeGets is how long goroutines take to get each times.
func timeGets(b *testing.B, goroutines, each int, get func() error) time.Duration {
	began := time.Now()
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				if err := get(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}
