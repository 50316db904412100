package timing

import (
	"context"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A loader takes it in place of the client.
var _ loader.Cache = (*Client)(nil)

// newClient is a timed client of one node in memory.
func newClient(t testing.TB, every int) *Client {
	mem := nodeserver.NewMemNetwork()
	srv, err := nodeserver.Start(nodeserver.Config{Network: mem, Addr: "node:11211"})
	require.NoError(t, err)
	c, err := client.New(client.Config{Nodes: ring.Addrs("node"), DialContext: mem.DialContext, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); srv.Close() })
	timed, err := New(Config{Client: c, Every: every})
	require.NoError(t, err)
	return timed
}

// TestEachCallIsTimedOnce, under its own name.
func TestEachCallIsTimedOnce(t *testing.T) {
	c := newClient(t, 1)
	ctx := context.Background()
	l, err := c.Lease(ctx, "leased", client.LeaseOptions{})
	require.NoError(t, err)
	calls := map[Op]func() error{
		Get: func() error { _, err := c.Get(ctx, "k"); return err },
		GetMulti: func() error {
			_, err := c.GetMulti(ctx, []string{"k", "l"})
			return err
		},
		Set:    func() error { _, err := c.Set(ctx, client.Item{Key: "k"}); return err },
		Delete: func() error { _, err := c.Delete(ctx, "other"); return err },
		Lease:  func() error { _, err := c.Lease(ctx, "k", client.LeaseOptions{}); return err },
		LeaseMulti: func() error {
			_, errs := c.LeaseMulti(ctx, []string{"k"}, client.LeaseOptions{})
			return errs[0]
		},
		Fill: func() error { _, err := c.Fill(ctx, l, client.Item{Value: []byte("v")}); return err },
	}
	require.NoError(t, calls[Set]())
	for _, o := range Ops() {
		var before [opCount]Latency
		for _, p := range Ops() {
			before[p] = c.Latency(p)
		}
		require.NoError(t, calls[o](), o)
		for _, p := range Ops() {
			want := uint64(0)
			if p == o {
				want = 1
			}
			got := c.Latency(p).Since(before[p])
			require.Equal(t, want, got.Count, "%s counted as %s", o, p)
			require.Equal(t, want > 0, got.Quantile(1) > 0)
		}
	}
	require.Zero(t, c.Latency(opCount))
	require.Equal(t, "Op(99)", Op(99).String())
}

// TestASampleStandsForAll: the estimate of many calls is near their number.
func TestASampleStandsForAll(t *testing.T) {
	c := newClient(t, 0)
	const n = 8000
	for range n {
		if _, err := c.Get(context.Background(), "absent"); err != client.ErrCacheMiss {
			t.Fatal(err)
		}
	}
	require.InDelta(t, n, c.Latency(Get).Count, n/4, "9 standard deviations")
}

func TestConfig(t *testing.T) {
	_, err := New(Config{})
	require.ErrorContains(t, err, "Client")
	for _, every := range []int{-1, 1<<16 + 1} {
		_, err = New(Config{Client: &client.Client{}, Every: every})
		require.ErrorContains(t, err, "Every")
	}
}

// TestBuckets: every duration is in the one bucket whose ends are around it, and quantiles are as those of
// the sorted durations, a quarter off at most.
func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h histogram
		var all []time.Duration
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			d := time.Duration(rapid.Int64Range(0, int64(16*time.Second)).Draw(t, "d"))
			d >>= rapid.IntRange(0, 25).Draw(t, "shift")
			i := bucketOf(d)
			if d >= upper(i) || i > 0 && d < upper(i-1) {
				t.Fatalf("%v is in bucket %d, which ends at %v", d, i, upper(i))
			}
			h.add(d)
			all = append(all, d)
		}
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		exact, got := all[min(int(q*float64(len(all))), len(all)-1)], h.read(1).Quantile(q)
		if got <= exact || float64(got) > 1.25*float64(exact)+1001 {
			t.Fatalf("quantile %v of %v is %v, not %v", q, all, got, exact)
		}
	})
	require.Equal(t, buckets-1, bucketOf(time.Hour))
}
