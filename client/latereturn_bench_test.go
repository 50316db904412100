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
// stands beside it. They take turns, 100 calls each: one iteration is a turn of each. For an idle machine.
func BenchmarkLateReturn(b *testing.B) {
	const answer = 10 * time.Millisecond
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

	var alone, reader, parked lateness
	for b.Loop() {
		alone.turn(func(ctx context.Context) { <-ctx.Done() }, func() {})
		reader.turn(get, settle)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					get(ctx)
				}
			})
		}
		parked.turn(get, func() {})
		cancel()
		wg.Wait()
		settle()
	}
	alone.report(b, "context-alone")
	reader.report(b, "reader")
	parked.report(b, "parked")
	b.ReportMetric(0, "ns/op")
}

// lateness is by how much calls have outlasted their contexts.
type lateness []time.Duration

// turn runs wait 100 times with contexts that end after 2 ms, by deadline and by
// cancellation in turn.
func (l *lateness) turn(wait func(context.Context), after func()) {
	const patience = 2 * time.Millisecond
	for i := range 100 {
		end := time.Now().Add(patience)
		ctx, cancel := context.WithDeadline(context.Background(), end)
		if i%2 == 1 {
			cancel()
			ctx, cancel = context.WithCancel(context.Background())
			time.AfterFunc(patience, func() {
				end = time.Now() // the timer's own lateness is not the caller's
				cancel()
			})
		}
		wait(ctx)
		now := time.Now()
		if ctx.Err() != nil { // otherwise the clock was later than the answer
			*l = append(*l, now.Sub(end))
		} else {
			<-ctx.Done()
		}
		cancel()
		after()
	}
}

func (l lateness) report(b *testing.B, who string) {
	require.NotEmpty(b, l)
	slices.Sort(l)
	for _, q := range []struct {
		name string
		at   int
	}{{"-p50-µs", len(l) / 2}, {"-p99-µs", len(l) * 99 / 100}} {
		b.ReportMetric(float64(l[q.at].Nanoseconds())/1000, who+q.name)
	}
	over, _ := slices.BinarySearch(l, time.Millisecond)
	b.ReportMetric(100*float64(len(l)-over)/float64(len(l)), who+"-%-over-1ms")
}
