package observe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/live"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// BenchmarkWatched compares Gets from a real memcached while nobody looks at the live page with Gets while somebody
// does, in rounds that take turns: x-alone is the median of the rounds' ratios of Gets a second. Who looks asks for
// data.json twice a second, over TCP, as the page does; a browser on the same machine would take far more. Run it with
// -benchtime 1x: each run is all rounds.
func BenchmarkWatched(b *testing.B) {
	s := stock.ForTest(b)
	ctx := context.Background()
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr()), Timeout: 10 * time.Second, DialTimeout: 10 * time.Second, HotKeys: &hotkey.Config{Staleness: -1}})
	require.NoError(b, err)
	defer c.Close()
	timed, err := timing.New(timing.Config{Client: c})
	require.NoError(b, err)
	h, err := live.New(live.Config{Source: metrics.Source{Client: c, Timing: timed}})
	require.NoError(b, err)
	srv := httptest.NewServer(h)
	defer srv.Close()
	_, err = c.Set(ctx, client.Item{Key: "key", Value: make([]byte, 100)})
	require.NoError(b, err)

	look := func() error {
		resp, err := srv.Client().Get(srv.URL + "/data.json")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	watch := func(done chan struct{}) {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := look(); err != nil {
				b.Error(err)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}
	const rounds, round = 15, time.Second
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			var ratios []float64
			for r := range rounds {
				var rate [2]float64
				for j := range rate {
					who := (r + j) % 2
					done := make(chan struct{})
					var wg sync.WaitGroup
					if who == 1 {
						wg.Go(func() { watch(done) })
					}
					rate[who] = measure(b, goroutines, round, func() (client.Item, error) { return timed.Get(ctx, "key") })
					close(done)
					wg.Wait()
				}
				ratios = append(ratios, rate[1]/rate[0])
			}
			sort.Float64s(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x-alone")
			b.ReportMetric(ratios[0], "least")
			b.ReportMetric(ratios[len(ratios)-1], "most")
		})
	}
}
