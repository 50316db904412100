package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// The winner's caller leaves before its reply is there. The late win is given back by
// whoever drains it, so the next caller wins at once, not when the lease runs out.
func TestRule6ALateWinIsGivenBack(t *testing.T) {
	for _, p := range []nodeserver.Profile{nodeserver.ProfileNewest, nodeserver.Profile15} {
		t.Run(p.String(), func(t *testing.T) { aLateWinIsGivenBack(t, p) })
	}
}

func aLateWinIsGivenBack(t *testing.T, p nodeserver.Profile) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		f := newMemFleet(t, 2, nodeserver.Config{Profile: p, Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
			if slow.Load() && !ofEpoch(r) && (r.Cmd == memproto.CmdMetaGet || r.Cmd == memproto.CmdGets) {
				return nodeserver.Verdict{Delay: 100 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		}})
		cfg := client.Config{ReplicationFactor: 2, LeaseTTL: time.Minute, Timeout: time.Second}
		a, b := f.client(cfg), f.client(cfg)
		// wait for 40 ms the win on the home copy is under way; for 150 ms it is there and
		// the token of the other copy is under way.
		for _, patience := range []time.Duration{40 * time.Millisecond, 150 * time.Millisecond} {
			key := fmt.Sprintf("k%d", patience)
			slow.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			start := time.Now()
			_, err := a.Lease(ctx, key, client.LeaseOptions{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, patience, time.Since(start), "a cancelled call returns at once")
			cancel()
			time.Sleep(300*time.Millisecond - patience) // virtual: the replies are in
			slow.Store(false)
			l, err := b.Lease(t.Context(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "won", l.State.String())
			_, err = b.Fill(t.Context(), l, client.Item{Value: []byte("v")})
			require.NoError(t, err)
			require.Equal(t, "v", get(t, a, key))
		}
		require.NotZero(t, a.Counters().LateWins)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		for _, s := range f.servers {
			require.NoError(t, s.Close())
		}
	})
}

// The same against both kinds of node, cancelled at any moment: somebody else wins
// long before the lease of a minute has run out.
func TestRule6CancelledWinnersBlockNobody(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		cfg := client.Config{Nodes: h.nodes, ReplicationFactor: 2, DialContext: h.dial, LeaseTTL: time.Minute, Timeout: 5 * time.Second}
		a, b := newClient(t, cfg), newClient(t, cfg)
		require.NoError(t, a.Ping(context.Background()))
		cancelled := 0
		for i := range 300 {
			key := fmt.Sprintf("c%d", i)
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				for range rand.N(200) {
					rand.Uint64() // some nanoseconds
				}
				cancel()
			}()
			l, err := a.Lease(ctx, key, client.LeaseOptions{})
			if err != nil {
				cancelled++
			} else {
				require.NoError(t, a.Release(context.Background(), l))
			}
			require.Eventually(t, func() bool {
				l, err := b.Lease(context.Background(), key, client.LeaseOptions{})
				require.NoError(t, err)
				return l.State.String() == "won"
			}, 20*time.Second, 100*time.Microsecond)
			cancel()
		}
		t.Logf("%d of 300 were cancelled", cancelled)
	})
}

// A plain read of an item that another program marked stale draws its one token; it
// hands it back, so that a reader who can refresh the item still wins.
func TestRule6APlainReadKeepsNoWin(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		if !h.meta {
			return // nobody can mark an item there
		}
		c := h.client()
		for _, key := range keys("stale") {
			set(t, c, key, "v")
			line, _ := h.ask(h.placed(key)[0], "md "+key+" I T30\r\n")
			require.Equal(t, "HD", line)
			require.Equal(t, "v", get(t, c, key))
			found, err := c.GetMulti(context.Background(), []string{key})
			require.NoError(t, err)
			require.Equal(t, "v", string(found[key].Value))
			l, err := c.Lease(context.Background(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "won", l.State.String())
			require.True(t, l.Stale)
			require.Equal(t, "v", string(l.Item.Value))
			_, err = c.Fill(context.Background(), l, client.Item{Value: []byte("fresh")})
			require.NoError(t, err)
			require.Equal(t, "fresh", get(t, c, key))
		}
	})
}

// A lease given back by its winner goes to the next caller at once.
func TestReleaseHandsTheLeaseOn(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		ctx, cancel := context.WithCancel(context.Background())
		l := won(t, a, "k")
		cancel()
		require.NoError(t, a.Release(ctx, l), "a context that has ended does not keep a lease from being given back")
		require.Eventually(t, func() bool {
			l, err := b.Lease(context.Background(), "k", client.LeaseOptions{})
			require.NoError(t, err)
			return l.State.String() == "won"
		}, 20*time.Second, 100*time.Microsecond)
		_, err := a.Fill(context.Background(), l, client.Item{Value: []byte("old")})
		require.ErrorIs(t, err, client.ErrLeaseLost, "a lease that was given back is void")
	})
}
