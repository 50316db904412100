package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// What a call allocates, in this process: the server is another. A context that can
// end costs a call 3 at most for each copy: what wakes the
// one caller that waits for the replies of all.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools at random")
	}
	var addrs []string
	for range 2 {
		addrs = append(addrs, stock.ForTest(t).Addr())
	}
	one := newClient(t, client.Config{Nodes: ring.Addrs(addrs[0]), Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	two := newClient(t, client.Config{Nodes: ring.Addrs(addrs...), ReplicationFactor: 2, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	cancellable, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for copies, c := range map[float64]*client.Client{1: one, 2: two} {
		for ctx, extra := range map[context.Context]float64{context.Background(): 0, cancellable: 3} {
			it := client.Item{Key: "key", Value: make([]byte, 100)}
			dst := make([]byte, 0, 128)
			_, err := c.Set(ctx, it)
			require.NoError(t, err)
			for name, call := range map[string]struct {
				most float64
				run  func()
			}{
				"Set":     {extra * copies, func() { _, err = c.Set(ctx, it) }},
				"Get":     {extra + 1, func() { _, err = c.Get(ctx, "key") }},
				"GetInto": {extra, func() { _, err = c.GetInto(ctx, "key", dst) }},
				"GetWith": {extra, func() { _, _, err = c.GetWith(ctx, "key", client.GetOptions{Dst: dst}) }},
			} {
				got := testing.AllocsPerRun(200, call.run)
				require.NoError(t, err)
				t.Logf("R=%v, cancellable %v, %s: %v", copies, extra > 0, name, got)
				require.LessOrEqual(t, got, call.most, name)
			}
		}
	}
}
