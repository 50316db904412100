package client_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// Whatever a caller does to bytes that are its own, those that memory holds stay as they are: what GetInto returns,
// what a read that filled the near-cache returned, and what was given to Set.
func TestOwnBytesAreNotTheNearCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2, HotKeys: hot()})
		mine := []byte("value")
		_, err := c.Set(t.Context(), client.Item{Key: "k", Value: mine})
		require.NoError(t, err)
		spoil := func(b []byte) {
			for i := range b {
				b[i] = 'X'
			}
		}
		spoil(mine)
		var dst []byte
		for range 3000 {
			near := c.Counters().NearHits
			it, err := c.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "value", string(it.Value))
			if c.Counters().NearHits == near && c.NearStats().Hits == 0 {
				spoil(it.Value) // a node sent it to this caller alone, even if memory holds it from now on
			}
			it, err = c.GetInto(t.Context(), "k", dst)
			require.NoError(t, err)
			require.Equal(t, "value", string(it.Value))
			dst = it.Value
			spoil(dst)
		}
		require.Positive(t, c.NearStats().Hits)
		closeFleet(t, f, c)
	})
}
