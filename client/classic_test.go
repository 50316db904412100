package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// What a client does in classic words is what one that speaks meta would have done: the
// second looks, on the same real memcached.
func TestClassicWordsSeenInMetaWords(t *testing.T) {
	nodes := ring.Addrs(stock.ForTest(t).Addr())
	old := newClient(t, client.Config{Nodes: nodes, DialContext: dialClassic, DialTimeout: 5 * time.Second})
	c := newClient(t, client.Config{Nodes: nodes, DialTimeout: 5 * time.Second})
	ctx := context.Background()
	life := func(key string, want time.Duration) {
		t.Helper()
		info, err := c.Inspect(ctx, key)
		require.NoError(t, err)
		require.InDelta(t, want, info.TTL, float64(3*time.Second))
	}
	_, err := old.Set(ctx, client.Item{Key: "k", Value: []byte("v"), Flags: 9, TTL: time.Hour})
	require.NoError(t, err)
	life("k", time.Hour)
	require.NoError(t, old.Touch(ctx, "k", 2*time.Hour))
	life("k", 2*time.Hour)
	it, err := old.GetAndTouch(ctx, "k", 40*24*time.Hour) // goes out as a date
	require.NoError(t, err)
	require.Equal(t, 40*24*time.Hour, it.TTL)
	life("k", 40*24*time.Hour)
	_, err = old.Append(ctx, client.Item{Key: "k", Value: []byte("w"), TTL: time.Minute})
	require.NoError(t, err)
	life("k", 40*24*time.Hour)
	it, err = c.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "vw", string(it.Value))
	require.EqualValues(t, 9, it.Flags)

	_, err = old.Count(ctx, client.Counter{Key: "n", Create: true, Initial: 1, TTL: time.Hour})
	require.NoError(t, err)
	life("n", time.Hour)
	_, err = old.Count(ctx, client.Counter{Key: "n", Delta: 1, Touch: true, TTL: 2 * time.Hour})
	require.NoError(t, err)
	life("n", 2*time.Hour)
	n, err := c.Increment(ctx, "n", 1)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)

	// Each sees the other's leases.
	for i, pair := range [][2]*client.Client{{old, c}, {c, old}} {
		key := fmt.Sprint("l", i)
		l := won(t, pair[0], key)
		other, err := pair[1].Lease(ctx, key, client.LeaseOptions{})
		require.NoError(t, err)
		if i == 0 {
			// An old client's stub has no mark that says who is loading: the token of an
			// empty item with flags 0 lets a new client load beside it.
			require.Contains(t, "won wait", other.State.String())
		} else {
			require.Equal(t, "wait", other.State.String())
		}
		_, err = pair[0].Fill(ctx, l, client.Item{Value: []byte("x")})
		require.NoError(t, err)
		require.Equal(t, "x", get(t, pair[1], key))
	}
}

// Counters that many create at once are counted once each, although old nodes count and
// create in two steps, and although somebody keeps deleting them.
func TestCountingIsExactOnEveryTier(t *testing.T) {
	onEveryTier(t, func(t *testing.T, c *client.Client, _ bool) {
		ctx := context.Background()
		const goroutines, each = 8, 25
		for _, key := range keys("count") {
			var wg sync.WaitGroup
			seen := make([][]uint64, goroutines)
			for g := range goroutines {
				wg.Go(func() {
					for range each {
						n, err := c.Count(ctx, client.Counter{Key: key, Delta: 1, Create: true, Initial: 1})
						if err != nil {
							t.Error(err)
							return
						}
						seen[g] = append(seen[g], n)
					}
				})
			}
			wg.Wait()
			all := map[uint64]bool{}
			for _, ns := range seen {
				for _, n := range ns {
					require.False(t, all[n], "%d was given twice", n)
					all[n] = true
				}
			}
			require.Len(t, all, goroutines*each)
			require.True(t, all[1] && all[goroutines*each])
		}
	})
}

// An old node tells no TTL. A hot key's value is held for X all the same, and no longer:
// not for ever, and not beyond the item's own end by more.
func TestANearEntryOfAnOldNodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newProfiledFleet(t, nodeserver.Profile15)
		c := f.client(client.Config{HotKeys: hot()})
		_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("v"), TTL: 10 * time.Second})
		require.NoError(t, err)
		heat(t, c, "k")
		ended := time.Duration(0)
		for began := time.Now(); ended == 0; time.Sleep(5 * time.Millisecond) {
			require.Less(t, time.Since(began), 12*time.Second, "it never ends")
			if _, err := c.Get(t.Context(), "k"); err != nil {
				require.ErrorIs(t, err, client.ErrCacheMiss)
				ended = time.Since(began)
			}
		}
		require.Less(t, ended, 10*time.Second+time.Second+100*time.Millisecond, "a second of the node's clock, and X")
		require.NotZero(t, c.Counters().NearHits)
		closeFleet(t, f, c)
	})
}

// A reply that is late because the node hangs: the caller is told in time, and other
// callers on the connection get what is theirs.
func TestAClassicNodeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newProfiledFleet(t, nodeserver.Profile15)
		c := f.client(client.Config{Timeout: 200 * time.Millisecond})
		set(t, c, "k", "v")
		f.network.Partition("node0", true)
		began := time.Now()
		_, err := c.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrTimeout)
		require.LessOrEqual(t, time.Since(began), 400*time.Millisecond)
		f.network.Partition("node0", false)
		time.Sleep(5 * time.Second) // virtual: the mender finds it
		require.Equal(t, "v", get(t, c, "k"))
		closeFleet(t, f, c)
	})
}
