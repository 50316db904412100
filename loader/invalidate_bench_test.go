package loader_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// oneByOne hides that the client deletes many keys at once.
type oneByOne struct{ loader.Cache }

// A consumer of a change log with 1,000 keys a call, against one and two real memcached
// processes, with one copy and two.
func BenchmarkInvalidate(b *testing.B) {
	for _, copies := range []int{1, 2} {
		var addrs []string
		for range copies {
			addrs = append(addrs, stock.ForTest(b).Addr())
		}
		c, err := client.New(client.Config{Nodes: ring.Addrs(addrs...), ReplicationFactor: copies, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
		require.NoError(b, err)
		defer c.Close()
		keys := make([]string, 1000)
		for i := range keys {
			keys[i] = fmt.Sprintf("user:%d", i)
		}
		for name, cache := range map[string]loader.Cache{"together": c, "one by one": &oneByOne{c}} {
			b.Run(fmt.Sprintf("%d copies, %s", copies, name), func(b *testing.B) {
				l := open(b, cache, newOrigin())
				for b.Loop() {
					if err := l.Invalidate(b.Context(), keys...); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*len(keys))/b.Elapsed().Seconds(), "keys/s")
			})
		}
	}
}
