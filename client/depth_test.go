package client_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// Callers who wait must fit onto stacks of 4 KiB, the second smallest: see Client.get. Each that does not has one of 8, whose
// part in use begins at a multiple of 8 KiB: half as many of those find room in a processor's cache.
func TestParkedCallsAreShallow(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector needs stacks of its own")
	}
	const callers = 512
	s := stock.ForTest(t)
	c := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr()), Timeout: time.Minute, DialTimeout: time.Minute})
	ctx, item := context.Background(), client.Item{Key: "key", Value: make([]byte, 100)}
	cancellable, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := c.Set(ctx, item)
	require.NoError(t, err)
	for name, call := range map[string]func() error{
		"Get":                             func() error { _, err := c.Get(ctx, "key"); return err },
		"Set":                             func() error { _, err := c.Set(ctx, item); return err },
		"Get with a context that can end": func() error { _, err := c.Get(cancellable, "key"); return err },
		"Set with a context that can end": func() error { _, err := c.Set(cancellable, item); return err },
	} {
		require.NoError(t, s.Pause())
		before := stackBytes()
		var wg sync.WaitGroup
		errs := make([]error, callers)
		var answered atomic.Int64 // by threads of the node that the signal has not stopped at once
		for i := range callers {
			wg.Go(func() { errs[i] = call(); answered.Add(1) })
		}
		parked := 0
		require.Eventually(t, func() bool {
			parked = c.Nodes()[0].InFlight
			return parked+int(answered.Load()) == callers
		}, time.Minute, time.Millisecond)
		require.Greater(t, parked, callers/2)
		each := (stackBytes() - before) / uint64(parked)
		require.NoError(t, s.Resume())
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		t.Logf("%s: %d bytes", name, each)
		// Some are awake, and read or write for all; the rest of a span counts, too.
		require.Less(t, each, uint64(5<<10), name)
	}
}

// stackBytes is how many bytes of stacks are in use.
func stackBytes() uint64 {
	runtime.GC() // takes back those that are not
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.StackInuse
}
