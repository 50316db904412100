package client_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// BenchmarkLateReturn measures how long after its deadline, or its cancellation, a
// caller returns from a Get whose answer is late: one that reads the connection itself,
// and one that is parked while others read. What the clock and the context alone take
// stands beside it. Best run on an idle machine, with -benchtime 1000x.
func BenchmarkLateReturn(b *testing.B) {
	const patience, answer = 2 * time.Millisecond, 10 * time.Millisecond
	node, err := nodeserver.Start(nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
		if string(r.Key) == "late" {
			return nodeserver.Verdict{Delay: answer}
		}
		return nodeserver.Verdict{}
	}})
	require.NoError(b, err)
	defer node.Close()
	c, err := client.New(client.Config{Nodes: ring.Addrs(node.Addr().String()), ConnsPerNode: 1, Timeout: time.Minute})
	require.NoError(b, err)
	defer c.Close()
	get := func(ctx context.Context) { _, _ = c.Get(ctx, "late") }
	// settle returns when nothing is under way any more.
	settle := func() { _, _ = c.Get(context.Background(), "quick") }

	b.Run("context alone", func(b *testing.B) {
		lateness(b, patience, func(ctx context.Context) { <-ctx.Done() }, func() {})
	})
	b.Run("reader", func(b *testing.B) { lateness(b, patience, get, settle) })
	b.Run("parked", func(b *testing.B) {
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					get(ctx)
				}
			})
		}
		lateness(b, patience, get, func() {})
		cancel()
		wg.Wait()
		settle()
	})
}

// lateness runs wait with contexts that end after patience, by deadline and by
// cancellation in turn, and reports by how much it outlasts them.
func lateness(b *testing.B, patience time.Duration, wait func(context.Context), after func()) {
	var late []time.Duration
	for i := 0; b.Loop(); i++ {
		end := time.Now().Add(patience)
		ctx, cancel := context.WithDeadline(context.Background(), end)
		if i%2 == 1 {
			cancel()
			ctx, cancel = context.WithCancel(context.Background())
			time.AfterFunc(patience, cancel)
			end = time.Now().Add(patience)
		}
		wait(ctx)
		d := time.Since(end)
		if ctx.Err() != nil { // otherwise the clock was later than the answer
			late = append(late, d)
		}
		cancel()
		after()
	}
	require.NotEmpty(b, late)
	slices.Sort(late)
	for _, q := range []struct {
		name string
		at   int
	}{{"p50-µs-late", len(late) / 2}, {"p99-µs-late", len(late) * 99 / 100}, {"max-µs-late", len(late) - 1}} {
		b.ReportMetric(float64(late[q.at].Nanoseconds())/1000, q.name)
	}
	b.ReportMetric(0, "ns/op")
}
