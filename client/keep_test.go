package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// storers store a value on both copies of a key, and return a lease to store it again under.
var storers = map[string]func(t *testing.T, c *client.Client, key, v string) client.Lease{
	"tokens": func(t *testing.T, c *client.Client, key, v string) client.Lease {
		w, err := c.LeaseWrite(context.Background(), key)
		require.NoError(t, err)
		again, out, err := c.FillKeep(context.Background(), w, client.Item{Value: []byte(v)})
		require.NoError(t, err)
		require.Equal(t, 2, out.Confirmed)
		return again
	},
	"plain": func(t *testing.T, c *client.Client, key, v string) client.Lease {
		again, out, err := c.SetKeep(context.Background(), client.Item{Key: key, Value: []byte(v)})
		require.NoError(t, err)
		require.Equal(t, 2, out.Confirmed)
		return again
	},
}

// Undisturbed, a value is stored again as often as one likes under what the last store
// returned, where the servers tell their tokens; where they don't, the key is deleted.
func TestRule8StoredAgainUnderItsOwnTokens(t *testing.T) {
	for how, store := range storers {
		t.Run(how, func(t *testing.T) { storedAgain(t, store) })
	}
}

func storedAgain(t *testing.T, store func(t *testing.T, c *client.Client, key, v string) client.Lease) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, ctx := h.client(), context.Background()
		for _, key := range keys("again") {
			again := store(t, c, key, "v")
			require.Equal(t, []string{"v", "v"}, h.values(key))
			if !h.meta {
				_, _, err := c.FillKeep(ctx, again, client.Item{Value: []byte("v")})
				require.ErrorIs(t, err, client.ErrLeaseLost)
				h.holdNo(key, "v")
				continue
			}
			require.Len(t, again.Tokens, 2)
			again, _, err := c.FillKeep(ctx, again, client.Item{Value: []byte("v2")})
			require.NoError(t, err)
			_, err = c.Fill(ctx, again, client.Item{Value: []byte("v3")})
			require.NoError(t, err)
			require.Equal(t, []string{"v3", "v3"}, h.values(key))
		}
	})
}

// Whatever somebody else did to the key on any copy in between, the value is stored again
// on none, and what the other left goes, too: the next reader asks the origin. So it is with one of many, and
// the others are stored.
func TestRule8NotStoredAgainAfterAChange(t *testing.T) {
	for how, store := range storers {
		t.Run(how, func(t *testing.T) { notStoredAgain(t, store) })
	}
}

func notStoredAgain(t *testing.T, store func(t *testing.T, c *client.Client, key, v string) client.Lease) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, other, ctx := h.client(), h.client(), context.Background()
		for name, change := range map[string]func(key string){
			"delete":         func(key string) { _, _ = other.Delete(ctx, key) },
			"write":          func(key string) { store(t, other, key, "other") },
			"evicted, owner": func(key string) { h.ask(h.placed(key)[0], "delete "+key+"\r\n") },
			"evicted, copy":  func(key string) { h.ask(h.placed(key)[1], "delete "+key+"\r\n") },
			"evicted and filled": func(key string) {
				for _, n := range h.placed(key) {
					h.ask(n, "set "+key+" 1 0 5\r\nolder\r\n")
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				for _, key := range keys("changed") {
					again := store(t, c, key, "v")
					change(key)
					out, err := c.Fill(ctx, again, client.Item{Value: []byte("v")})
					require.ErrorIs(t, err, client.ErrLeaseLost)
					require.Equal(t, out.Copies, out.Refused, "deleted on every copy")
					for _, bad := range []string{"v", "other", "older"} {
						h.holdNo(key, bad)
					}
				}
				// All in one call, every second of them changed.
				var leases []client.Lease
				items := make([]client.Item, len(keys("many")))
				for i, key := range keys("many") {
					leases = append(leases, store(t, c, key, "v"))
					items[i].Value = []byte("v2")
					if i%2 == 0 {
						change(key)
					}
				}
				kept, outs, errs := c.FillKeepMulti(ctx, leases, items)
				for i, key := range keys("many") {
					if i%2 != 0 && h.meta {
						require.NoError(t, errs[i])
						require.Equal(t, []string{"v2", "v2"}, h.values(key))
						require.Equal(t, 2, outs[i].Confirmed)
						require.Len(t, kept[i].Tokens, 2)
						continue
					}
					require.ErrorIs(t, errs[i], client.ErrLeaseLost)
					require.Equal(t, outs[i].Copies, outs[i].Refused, "deleted on every copy")
					require.Zero(t, kept[i])
					for _, bad := range []string{"v", "v2", "other", "older"} {
						h.holdNo(key, bad)
					}
				}
				if !h.meta {
					return
				}
				again, _, errs := c.FillKeepMulti(ctx, kept[1:2], items[1:2]) // what it keeps stores once more
				require.NoError(t, errs[0])
				require.Len(t, again[0].Tokens, 2)
			})
		}
	})
}

// A lease of another kind is not filled by FillKeep, and is given back.
func TestFillKeepIsForWrites(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, ctx := h.client(), context.Background()
		key := keys("won")[0]
		l, err := c.Lease(ctx, key, client.LeaseOptions{})
		require.NoError(t, err)
		_, _, err = c.FillKeep(ctx, l, client.Item{Value: []byte("v")})
		require.ErrorIs(t, err, client.ErrLeaseLost)
		require.Eventually(t, func() bool {
			l, err := c.Lease(ctx, key, client.LeaseOptions{})
			return err == nil && l.State == item.LeaseWon
		}, time.Minute, time.Millisecond)
	})
}

// A SetKeep whose caller leaves has deleted the key; and what runs late, behind that and behind whoever wrote the key
// since, does not stay: no token holds it up. Large values have a connection of their own, where no delete is behind them.
func TestRule8ALateSetKeepLeavesNothing(t *testing.T) {
	for _, at := range []int{0, 1} {
		lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
			key := "k"
			cfg := client.Config{ReplicationFactor: 2, Timeout: time.Second}
			a, b := l.client(cfg), l.client(cfg)
			large := strings.Repeat("v", 40<<10)
			for range 2 {
				set(t, a, key, large)
			}
			set(t, b, key, "older")
			slow.on(memproto.CmdMetaSet, l.placed(2, key)[at])
			_, _, err := a.SetKeep(patience(t), client.Item{Key: key, Value: []byte("mine" + large)})
			require.Error(t, err)
			slow.off()
			time.Sleep(5 * time.Second)
			for _, v := range l.copiesOf(t, key) {
				require.NotContains(t, v, "mine")
				require.NotContains(t, v, "older")
			}
			l.closeAll(a, b)
		})
	}
}

// A FillKeepMulti whose caller leaves deletes what it could not store on every copy, and what is under way when it
// returns is settled: nothing is owed then, and the keys are as good as new.
func TestRule8AFillKeepMultiWhoseCallerLeaves(t *testing.T) {
	for _, at := range []int{0, 1} {
		lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
			c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
			var leases []client.Lease
			var items []client.Item
			all := keys("left")
			for _, key := range all {
				lease, _, err := c.SetKeep(t.Context(), client.Item{Key: key, Value: []byte("older")})
				require.NoError(t, err)
				leases, items = append(leases, lease), append(items, client.Item{Value: []byte("mine")})
			}
			slow.on(memproto.CmdMetaSet, l.placed(2, all[0])[at])
			kept, _, errs := c.FillKeepMulti(patience(t), leases, items)
			slow.off()
			for i, err := range errs {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.False(t, client.SafeToRetry(err), "some copy may have it")
				require.Zero(t, kept[i])
			}
			time.Sleep(5 * time.Second)
			for _, key := range all {
				for _, v := range l.copiesOf(t, key) {
					require.NotContains(t, v, "mine")
					require.NotContains(t, v, "older")
				}
				set(t, c, key, "new")
				require.Equal(t, "new", get(t, c, key))
			}
			for _, n := range c.Nodes() {
				require.Equal(t, "up", n.State)
				require.Zero(t, n.Debt)
				require.Zero(t, n.InFlight)
			}
			l.closeAll(c)
		})
	}
}
