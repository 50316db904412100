package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// wins has c win leases for d, and says when it began and had done so.
func wins(t *testing.T, c *client.Client, prefix string, d time.Duration) (from, to time.Time) {
	from = time.Now()
	for i := 0; time.Since(from) < d; i++ {
		l, err := c.Lease(t.Context(), fmt.Sprint(prefix, i), client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "won", l.State.String())
	}
	return from, time.Now()
}

// Who is told to wait is told for how long the other has had the lease, as far as its own leases before and after that tell.
func TestALeaseSaysForHowLongItHasBeenHeld(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		cfg := client.Config{Nodes: h.nodes[:1], DialContext: h.dial, Timeout: 5 * time.Second}
		a, b := newClient(t, cfg), newClient(t, cfg)
		from, _ := wins(t, b, "before", 5*time.Millisecond)
		l, err := a.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "won", l.State.String())
		_, to := wins(t, b, "after", 5*time.Millisecond)
		asked := time.Now()
		l, err = b.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "wait", l.State.String())
		require.GreaterOrEqual(t, l.Held, asked.Sub(to))
		require.LessOrEqual(t, l.Held, time.Since(from))
		require.Positive(t, l.Held)
		// Who has won nothing can't tell.
		c := newClient(t, cfg)
		l, err = c.Lease(context.Background(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "wait", l.State.String())
		require.Zero(t, l.Held)
	})
}

// The same by a clock that does not run by itself: it is right to the spacing of the leases.
func TestALeaseSaysForHowLongItHasBeenHeldToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		a, b := f.client(client.Config{}), f.client(client.Config{})
		require.NoError(t, a.Ping(t.Context())) // what it stores with its first connection is numbered, too
		for i := range 20 {
			time.Sleep(2 * time.Millisecond)
			l, err := b.Lease(t.Context(), fmt.Sprint("b", i), client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "won", l.State.String())
			if i == 10 {
				time.Sleep(2 * time.Millisecond)
				_, err = a.Lease(t.Context(), "k", client.LeaseOptions{})
				require.NoError(t, err)
			}
		}
		l, err := b.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.InDelta(t, 18*time.Millisecond, l.Held, float64(100*time.Microsecond))
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		for _, s := range f.servers {
			require.NoError(t, s.Close())
		}
	})
}
