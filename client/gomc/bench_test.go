package gomc

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
)

// BenchmarkDropIn compares the drop-in with the client underneath and with gomemcache, on one real
// memcached, in rounds that take turns: x-client and x-gomemcache are medians of the rounds' ratios of
// operations a second. Run it with -benchtime 1x: each run is all rounds.
func BenchmarkDropIn(b *testing.B) {
	s := stock.ForTest(b)
	nodes, err := Servers(s.Addr())
	require.NoError(b, err)
	theirs := memcache.New(s.Addr())
	defer theirs.Close()
	theirs.MaxIdleConns, theirs.Timeout = 64, 10*time.Second // a busy machine is no failure
	ctx := context.Background()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%06d", i)
		require.NoError(b, theirs.Set(&memcache.Item{Key: keys[i], Value: make([]byte, 100)}))
	}
	const rounds, round = 9, 250 * time.Millisecond
	for _, noTokens := range []bool{false, true} {
		c, err := New(Config{NoTokens: noTokens, Client: client.Config{Nodes: nodes, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}})
		require.NoError(b, err)
		defer c.Close()
		under := c.Memherd()
		read, many, reads := under.Gets, under.GetsMulti, "Gets"
		if noTokens {
			read, many, reads = under.Get, under.GetMulti, "Get"
		}
		value := make([]byte, 100)
		for name, calls := range map[string][3]func(i int) error{
			reads: {
				func(i int) error { _, err := c.Get(keys[i]); return err },
				func(i int) error { _, err := read(ctx, keys[i]); return err },
				func(i int) error { _, err := theirs.Get(keys[i]); return err },
			},
			reads + "Multi20": {
				func(i int) error { _, err := c.GetMulti(keys[i/2 : i/2+20]); return err },
				func(i int) error { _, err := many(ctx, keys[i/2:i/2+20]); return err },
				func(i int) error { _, err := theirs.GetMulti(keys[i/2 : i/2+20]); return err },
			},
			"Set": {
				func(i int) error { return c.Set(&memcache.Item{Key: keys[i], Value: value}) },
				func(i int) error { _, err := under.Set(ctx, client.Item{Key: keys[i], Value: value}); return err },
				func(i int) error { return theirs.Set(&memcache.Item{Key: keys[i], Value: value}) },
			},
		} {
			if noTokens && name == "Set" {
				continue // the same
			}
			for _, goroutines := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/goroutines=%d", name, goroutines), func(b *testing.B) {
					var ratios [3][]float64
					for r := range rounds {
						var rate [3]float64
						for j := range calls {
							who := (r + j) % len(calls)
							rate[who] = measure(b, goroutines, len(keys), round, calls[who])
						}
						for who := range rate {
							ratios[who] = append(ratios[who], rate[0]/rate[who])
						}
					}
					b.ReportMetric(median(ratios[1]), "x-client")
					b.ReportMetric(median(ratios[2]), "x-gomemcache")
				})
			}
		}
	}
}

// measure returns the calls a second of so many goroutines.
func measure(b *testing.B, goroutines, keys int, d time.Duration, call func(i int) error) float64 {
	counts := make([]int, goroutines)
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			n := 0
			for i := g; ; i += 7 {
				if n%16 == 0 && time.Now().After(end) {
					break
				}
				if err := call(i % keys); err != nil {
					b.Error(err)
					break
				}
				n++
			}
			counts[g] = n
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / d.Seconds()
}

func median(v []float64) float64 {
	sort.Float64s(v)
	return v[len(v)/2]
}
