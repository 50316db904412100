package client_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// As many callers as the cap allows are never refused, however many connections they
// share and whichever they go to next.
func TestTheInFlightCapCountsNobodyTwice(t *testing.T) {
	s := stock.ForTest(t)
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr()), ConnsPerNode: 4, MaxInFlight: 600, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(t, err)
	defer c.Close()
	ctx := context.Background()
	_, err = c.Set(ctx, client.Item{Key: "k", Value: []byte("v")})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 600 {
		wg.Go(func() {
			for range scaled(t, 200) {
				if _, err := c.Get(ctx, "k"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, c.Nodes()[0].InFlight)
}
