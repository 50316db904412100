package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

const refreshed, hit = "refresh", "hit"

// refresh asks for the right to refresh a key that was seen with 60 s to live.
func refresh(t *testing.T, c *client.Client, key string, force bool) client.Lease {
	t.Helper()
	l, err := c.Lease(context.Background(), key, client.LeaseOptions{Refresh: 60 * time.Second, Force: force})
	require.NoError(t, err)
	return l
}

func store(t *testing.T, c *client.Client, key, v string, ttl time.Duration) {
	t.Helper()
	_, err := c.Set(context.Background(), client.Item{Key: key, Value: []byte(v), TTL: ttl})
	require.NoError(t, err)
}

// One caller wins, the others see the value and that it is being refreshed; the fill
// reaches every copy, and ends the mark.
func TestOneCallerRefreshes(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		store(t, a, "k", "old", 60*time.Second)
		l := refresh(t, a, "k", false)
		require.Equal(t, refreshed, l.State.String())
		require.Equal(t, "old", string(l.Item.Value))
		require.Len(t, l.Tokens, 2, "a token on every copy (rule 3)")
		for _, o := range []client.LeaseOptions{{}, {Refresh: 60 * time.Second}} {
			other, err := b.Lease(context.Background(), "k", o)
			require.NoError(t, err)
			require.Equal(t, hit, other.State.String())
			require.True(t, other.Refreshing)
			require.Equal(t, "old", string(other.Item.Value))
		}
		out, err := a.Fill(context.Background(), l, client.Item{Value: []byte("new"), TTL: 120 * time.Second})
		require.NoError(t, err)
		require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, out)
		late := refresh(t, b, "k", false)
		require.Equal(t, hit, late.State.String(), "what was stored anew since it was seen is not due")
		require.False(t, late.Refreshing)
		require.Equal(t, "new", string(late.Item.Value))
	})
}

// Whatever happens to the key between the token and the fill wins, on every copy.
func TestARefreshUndoesNothing(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		for i, then := range []struct {
			what string
			do   func(key string) error
			want string
		}{
			{"delete", func(key string) error { _, err := b.Delete(context.Background(), key); return err }, "-"},
			{"set", func(key string) error {
				_, err := b.Set(context.Background(), client.Item{Key: key, Value: []byte("newer"), TTL: time.Minute})
				return err
			}, "newer"},
		} {
			for _, fills := range []bool{true, false} {
				key := fmt.Sprintf("k%d%v", i, fills)
				store(t, a, key, "old", 60*time.Second)
				l := refresh(t, a, key, false)
				require.Equal(t, refreshed, l.State.String())
				require.NoError(t, then.do(key))
				if fills {
					_, err := a.Fill(context.Background(), l, client.Item{Value: []byte("late"), TTL: time.Minute})
					require.ErrorIs(t, err, client.ErrLeaseLost, then.what)
				} else {
					require.NoError(t, a.Release(context.Background(), l))
					// A release is posted: what is sent behind it on the same connections has seen it.
					require.NoError(t, a.Ping(context.Background()))
				}
				for _, copy := range h.values(key) {
					require.Equal(t, then.want, copy, then.what)
				}
			}
		}
	})
}

// A refresh that is given up leaves the value as it was, for no longer than it had, and the
// next who asks wins.
func TestARefreshGivenUpIsWonByTheNext(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		store(t, a, "k", "old", 60*time.Second)
		for i := range 5 {
			c := []*client.Client{a, b}[i%2]
			var l client.Lease
			require.Eventually(t, func() bool {
				l = refresh(t, c, "k", false)
				return l.State.String() == refreshed
			}, 20*time.Second, 100*time.Microsecond)
			require.Equal(t, "old", string(l.Item.Value))
			require.LessOrEqual(t, l.Item.TTL, 60*time.Second)
			require.Greater(t, l.Item.TTL, 30*time.Second)
			require.NoError(t, c.Release(context.Background(), l))
		}
		// One that was to end in a moment is removed: the next loads it.
		store(t, a, "short", "old", 2*time.Second)
		l := refresh(t, a, "short", false)
		require.Equal(t, refreshed, l.State.String())
		require.NoError(t, a.Release(context.Background(), l))
		require.Eventually(t, func() bool {
			l, err := b.Lease(context.Background(), "short", client.LeaseOptions{})
			require.NoError(t, err)
			return l.State.String() == "won"
		}, 20*time.Second, 100*time.Microsecond)
	})
}

// Force takes tokens whoever has the mark, as where there is none; of two fills the second
// is refused.
func TestAForcedRefresh(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		store(t, a, "k", "old", 60*time.Second)
		first := refresh(t, a, "k", false)
		second := refresh(t, b, "k", true)
		for _, l := range []client.Lease{first, second} {
			require.Equal(t, refreshed, l.State.String())
			require.Len(t, l.Tokens, 2)
		}
		_, err := b.Fill(context.Background(), second, client.Item{Value: []byte("b"), TTL: time.Minute})
		require.NoError(t, err)
		_, err = a.Fill(context.Background(), first, client.Item{Value: []byte("a"), TTL: time.Minute})
		require.ErrorIs(t, err, client.ErrLeaseLost)
		for _, copy := range h.values("k") {
			require.Equal(t, "b", copy)
		}
		missing := refresh(t, a, "missing", false)
		require.Equal(t, "won", missing.State.String(), "a key that is missing is leased as ever")
	})
}

// However often a refresh is won and given up, the value lives no longer for it: each time it is stored again for what is left, in the node's whole
// seconds, and a part of one counts as all of it.
func TestARefreshGivenUpLengthensNoLife(t *testing.T) {
	const life = 12 * time.Second
	for _, pause := range []time.Duration{100 * time.Millisecond, 900 * time.Millisecond, 1100 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2})
				_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("old"), TTL: life, Flags: 7})
				require.NoError(t, err)
				stored, times := time.Now(), 0
				for {
					lease := refresh(t, c, "k", false)
					if lease.State.String() != refreshed {
						require.Equal(t, "won", lease.State.String())
						break
					}
					require.LessOrEqual(t, time.Since(stored), life, "it was to end by then")
					require.Equal(t, "old", string(lease.Item.Value))
					require.EqualValues(t, 7, lease.Item.Flags)
					require.LessOrEqual(t, lease.Item.TTL, life-time.Since(stored)+time.Second)
					times++
					time.Sleep(pause)
					require.NoError(t, c.Release(t.Context(), lease))
					time.Sleep(time.Millisecond)
				}
				require.Greater(t, times, 3)
				l.closeAll(c)
			})
		})
	}
}

// Only the home copy can give the right to refresh: its answer is waited for, however late it is.
func TestARefreshIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second})
		store(t, c, "k", "old", 60*time.Second)
		l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
			if node == l.placed(2, "k")[0] && string(r.Key) == "k" {
				v.Delay = 20 * time.Millisecond
			}
			return v
		})
		lease := refresh(t, c, "k", false)
		require.Equal(t, refreshed, lease.State.String())
		require.Len(t, lease.Tokens, 2)
		require.Zero(t, c.Counters().Hedged)
		require.NoError(t, c.Release(t.Context(), lease))
		time.Sleep(time.Second)
		l.closeAll(c)
	})
}

// A refresh that is won when its caller has left is given up by whoever reads the answer: the value stays as it was, and is not marked stale, for which all
// would wait for a load.
func TestARefreshWonTooLateIsGivenUp(t *testing.T) {
	lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
		store(t, c, "k", "old", 60*time.Second)
		slow.on(memproto.CmdMetaGet, l.placed(2, "k")[0])
		_, err := c.Lease(patience(t), "k", client.LeaseOptions{Refresh: 60 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		slow.off()
		time.Sleep(time.Second)
		require.EqualValues(t, 1, c.Counters().LateWins)
		lease := refresh(t, c, "k", false)
		require.Equal(t, refreshed, lease.State.String(), "the next who asks wins")
		require.False(t, lease.Stale)
		require.Equal(t, "old", string(lease.Item.Value))
		require.NoError(t, c.Release(t.Context(), lease))
		l.closeAll(c)
	})
}

// Nor where that is a point in time, whatever the node's clock says beside this process's: it ticks once a second.
func TestARefreshGivenUpLengthensNoLongLife(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		const long = 31 * 24 * time.Hour
		c := h.client()
		store(t, c, "k", "v", long)
		before, err := c.GetTTL(t.Context(), "k")
		require.NoError(t, err)
		last := before.TTL
		for range 20 {
			l, err := c.Lease(t.Context(), "k", client.LeaseOptions{Refresh: last})
			require.NoError(t, err)
			require.Equal(t, refreshed, l.State.String())
			require.NoError(t, c.Release(t.Context(), l))
			it, err := c.GetTTL(t.Context(), "k") // behind what takes the mark away
			require.NoError(t, err)
			require.Less(t, it.TTL, last)
			require.Greater(t, it.TTL, last-10*time.Second)
			last = it.TTL
		}
	})
}
