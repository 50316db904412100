package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// storeKept stores v on both copies of key and returns the lease to store it again under.
func storeKept(t *testing.T, c *client.Client, key, v string) client.Lease {
	w, err := c.LeaseWrite(context.Background(), key)
	require.NoError(t, err)
	again, out, err := c.FillKeep(context.Background(), w, client.Item{Value: []byte(v)})
	require.NoError(t, err)
	require.Equal(t, 2, out.Confirmed)
	return again
}

// Undisturbed, a value is stored again as often as one likes under what the last store
// returned, where the servers tell their tokens; where they don't, the key is deleted.
func TestRule8StoredAgainUnderItsOwnTokens(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, ctx := h.client(), context.Background()
		for _, key := range keys("again") {
			again := storeKept(t, c, key, "v")
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
// on none, and what the other left goes, too: the next reader asks the origin.
func TestRule8NotStoredAgainAfterAChange(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, other, ctx := h.client(), h.client(), context.Background()
		for name, change := range map[string]func(key string){
			"delete":         func(key string) { _, _ = other.Delete(ctx, key) },
			"write":          func(key string) { storeKept(t, other, key, "other") },
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
					again := storeKept(t, c, key, "v")
					change(key)
					out, err := c.Fill(ctx, again, client.Item{Value: []byte("v")})
					require.ErrorIs(t, err, client.ErrLeaseLost)
					require.Equal(t, out.Copies, out.Refused, "deleted on every copy")
					for _, bad := range []string{"v", "other", "older"} {
						h.holdNo(key, bad)
					}
				}
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
