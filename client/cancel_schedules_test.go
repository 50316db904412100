package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// dice are random numbers for many goroutines.
type dice struct {
	mu  sync.Mutex // guards rng
	rng *rand.Rand
}

func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

// bumpy passes bytes in pieces with pauses of some nanoseconds in between: a moment to
// be cancelled at.
type bumpy struct {
	net.Conn
	dice *dice
}

func (c *bumpy) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), 1+c.dice.roll(100))])
	time.Sleep(time.Duration(c.dice.roll(3000)))
	return n, err
}

func (c *bumpy) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.Conn.Write(p[n : n+min(len(p)-n, 1+c.dice.roll(100))])
		n += m
		time.Sleep(time.Duration(c.dice.roll(3000)))
	}
	return n, err
}

// expected are the errors an operation may come to when nodes are well.
func expected(err error) bool {
	return slices.ContainsFunc([]error{
		context.Canceled, context.DeadlineExceeded, client.ErrCacheMiss, client.ErrNotStored, client.ErrCASConflict,
		client.ErrLeaseLost,
		client.ErrOwnerDown, // the answer to an abandoned write of the key is still due
	}, func(want error) bool { return errors.Is(err, want) })
}

// schedulesPerFleet are played one after the other by one client: making it costs more
// than a schedule, and what one left behind would show in the next.
const schedulesPerFleet = 20

// The incident of March 2023 as a whole client can have it: in each of a thousand
// schedules four callers use every operation in a random order, and their contexts end
// at random nanoseconds, before, during and after the bytes of a request and its reply.
// Whatever anybody reads is the key's own, what is said to be done has been done, what
// is said to be safe to retry no node has seen, no connection is lost, and nothing
// stays behind: not a call, not a debt, not a goroutine (the bubble would not end).
func TestCancelledAtAnyNanosecond(t *testing.T) {
	total := map[string]int{}
	for seed := range (scaled(t, 1000) + schedulesPerFleet - 1) / schedulesPerFleet {
		synctest.Test(t, func(t *testing.T) { cancelSchedules(t, uint64(seed), total) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(total)
	for _, what := range []string{"hit", "done", "cancelled", "safe to retry", "unknown or refused"} {
		require.Positive(t, total[what], what)
	}
}

func cancelSchedules(t *testing.T, seed uint64, total map[string]int) {
	w := newWitness(t)
	w.counts = total
	d := &dice{rng: rand.New(rand.NewPCG(seed, 0))}
	f := newMemFleet(t, 3, nodeserver.Config{Intercept: w.intercept(func(*memproto.Request) nodeserver.Verdict {
		return nodeserver.Verdict{Delay: time.Duration(d.roll(50_000))}
	})})
	cfg := client.Config{Nodes: f.nodes(), ReplicationFactor: 1 + int(seed%3),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := f.dial(ctx, network, addr)
			return &bumpy{nc, d}, err
		},
		Hooks: client.Hooks{ConnLost: func(node string, cause error) {
			if !errors.Is(cause, client.ErrClosed) {
				t.Errorf("the connection to %s was lost: %v", node, cause)
			}
		}}}
	if seed%2 == 1 {
		cfg.HotKeys = hot()
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	for schedule := range schedulesPerFleet {
		var callers sync.WaitGroup
		for id := range 4 {
			callers.Go(func() {
				cancelled(w, c, rand.New(rand.NewPCG(seed, uint64(schedule*4+id+1))), id == 0)
			})
		}
		callers.Wait()
		time.Sleep(2 * time.Second) // what was left is drained, what is owed is paid
		w.count("schedules")
		for range 100 {
			if !slices.ContainsFunc(c.Nodes(), func(n client.Status) bool { return n.InFlight > 0 }) {
				break
			}
			time.Sleep(time.Millisecond) // an idle connection is being pinged
		}
		for _, n := range c.Nodes() {
			require.Zero(t, n.InFlight, "schedule %d", schedule)
			require.Zero(t, n.Debt, "schedule %d", schedule)
			require.Equal(t, "up", n.State, "schedule %d", schedule)
		}
		for i := range 4 {
			for _, name := range []string{"Get", "Gets"} {
				err := w.ops(c, t.Context(), fmt.Sprint("k", i), fmt.Sprint("n", i))[name]()
				if !errors.Is(err, client.ErrCacheMiss) {
					require.NoError(t, err, "schedule %d", schedule)
				}
			}
		}
	}
	w.verdict()
	require.NoError(t, c.Close())
	for _, s := range f.servers {
		require.NoError(t, s.Close())
	}
}

// cancelled is one caller: it uses every operation once.
func cancelled(w *witness, c *client.Client, rng *rand.Rand, flush bool) {
	names := slices.Sorted(maps.Keys(w.ops(c, context.Background(), "k0", "n0")))
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		if name == "FlushAll" && !flush {
			continue // once is enough
		}
		ctx, cancel := context.WithCancel(context.Background())
		switch rng.IntN(4) {
		case 0, 1:
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(200_000)))
		case 2:
			time.AfterFunc(time.Duration(rng.IntN(200_000)), cancel)
		}
		err := w.ops(c, ctx, fmt.Sprint("k", rng.IntN(4)), fmt.Sprint("n", rng.IntN(4)))[name]()
		ended := ctx.Err() != nil
		cancel()
		w.count("operations")
		switch {
		case err != nil && !expected(err):
			w.t.Errorf("%s: %v", name, err)
		case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
			w.count("cancelled")
			if !ended {
				w.t.Errorf("%s speaks of a context that has not ended: %v", name, err)
			}
		}
	}
}
