package observe

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/otel"
	"github.com/memherd/memherd/client/observe/prom"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// BenchmarkCost compares a Get from a real memcached with one that is observed, in rounds that take turns: x-bare is
// the median of the rounds' ratios of Gets a second. "metrics" is timing.Client, a Prometheus registry and
// OpenTelemetry's instruments, both read ten times a second, which is a hundred times more often
// than usual; "durations" is otel.Client without a tracer. Run it with -benchtime 1x: each run is all rounds.
func BenchmarkCost(b *testing.B) {
	s := stock.ForTest(b)
	ctx := context.Background()
	bare, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr()), Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(b, err)
	defer bare.Close()
	timed, err := timing.New(timing.Config{Client: bare})
	require.NoError(b, err)
	source := metrics.Source{Client: bare, Timing: timed}
	collector, err := prom.New(source)
	require.NoError(b, err)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector)
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer provider.Shutdown(ctx)
	_, err = otel.Register(provider, source)
	require.NoError(b, err)
	durations, err := otel.New(otel.Config{Client: bare, Meter: provider})
	require.NoError(b, err)

	_, err = bare.Set(ctx, client.Item{Key: "key", Value: make([]byte, 100)})
	require.NoError(b, err)
	scrape := func(done chan struct{}) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				var rm metricdata.ResourceMetrics
				_, err1 := reg.Gather()
				if err2 := reader.Collect(ctx, &rm); err1 != nil || err2 != nil {
					b.Error(err1, err2)
				}
			}
		}
	}
	const rounds, round = 15, 300 * time.Millisecond
	for _, goroutines := range []int{1, 64} {
		for name, observed := range map[string]func() (client.Item, error){
			"metrics":   func() (client.Item, error) { return timed.Get(ctx, "key") },
			"durations": func() (client.Item, error) { return durations.Get(ctx, "key") },
		} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", name, goroutines), func(b *testing.B) {
				var ratios []float64
				for r := range rounds {
					var rate [2]float64
					for j := range rate {
						who := (r + j) % 2
						if who == 0 {
							rate[0] = measure(b, goroutines, round, func() (client.Item, error) { return bare.Get(ctx, "key") })
							continue
						}
						done := make(chan struct{})
						var wg sync.WaitGroup
						wg.Go(func() { scrape(done) })
						rate[1] = measure(b, goroutines, round, observed)
						close(done)
						wg.Wait()
					}
					ratios = append(ratios, rate[1]/rate[0])
				}
				sort.Float64s(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "x-bare")
			})
		}
	}
}

// measure returns the Gets a second of so many goroutines.
func measure(b *testing.B, goroutines int, d time.Duration, get func() (client.Item, error)) float64 {
	counts := make([]int, goroutines)
	began := time.Now()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			n := 0
			for ; n%16 != 0 || time.Since(began) < d; n++ {
				if _, err := get(); err != nil {
					b.Error(err)
					break
				}
			}
			counts[g] = n
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(began).Seconds()
}
