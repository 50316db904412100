package client_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// A fill holds one token per copy, all taken before the source is read.
func TestRule3AFillReachesEveryCopy(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c := h.client()
		for _, key := range keys("fill") {
			l := won(t, c, key)
			require.Len(t, l.Tokens, 2)
			out, err := c.Fill(context.Background(), l, client.Item{Value: []byte("v")})
			require.NoError(t, err)
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, out)
			require.Equal(t, []string{"v", "v"}, h.values(key))
		}
	})
}

// The load began before the delete and its fill comes after: whichever copy the fill
// reaches first, none keeps the old value. With a plain store to the second copy the
// acknowledged delete would be undone until the TTL.
func TestRule3LoadBegunBeforeADeleteLeavesNoOldCopy(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		for _, order := range []string{"as taken", "reversed", "home only", "other only"} {
			t.Run(order, func(t *testing.T) {
				h := &herd{t: t, nodes: h.nodes, dial: h.dial}
				reader, writer := h.client(), h.client()
				for _, key := range keys("stale-" + order[:2]) {
					l := won(t, reader, key) // and loads "old" from the origin
					_, err := writer.Delete(context.Background(), key)
					require.NoError(t, err)
					switch order {
					case "reversed":
						l.Tokens[0], l.Tokens[1] = l.Tokens[1], l.Tokens[0]
					case "home only":
						l.Tokens = l.Tokens[:1]
					case "other only":
						l.Tokens = l.Tokens[1:]
					}
					_, err = reader.Fill(context.Background(), l, client.Item{Value: []byte("old")})
					require.ErrorIs(t, err, client.ErrLeaseLost)
					h.holdNo(key, "old")
				}
			})
		}
	})
}

// The same with the delete between the two halves of the fill, which a client that
// dies or stalls in mid-fill leaves behind.
func TestRule3DeleteBetweenTheFillsOfTwoCopies(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		reader, writer := h.client(), h.client()
		for _, first := range []int{0, 1} {
			for _, key := range keys("between") {
				_, err := writer.Delete(context.Background(), key)
				require.NoError(t, err)
				l := won(t, reader, key)
				one, other := l, l
				one.Tokens, other.Tokens = l.Tokens[first:first+1], l.Tokens[1-first:2-first]
				_, err = reader.Fill(context.Background(), one, client.Item{Value: []byte("old")})
				require.NoError(t, err)
				_, err = writer.Delete(context.Background(), key)
				require.NoError(t, err)
				_, err = reader.Fill(context.Background(), other, client.Item{Value: []byte("old")})
				require.ErrorIs(t, err, client.ErrLeaseLost)
				h.holdNo(key, "old")
			}
		}
	})
}

// A write in place of the delete voids the tokens as well, and stays.
func TestRule3LoadBegunBeforeAWriteDoesNotOverwriteIt(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		reader, writer := h.client(), h.client()
		for _, key := range keys("write") {
			l := won(t, reader, key)
			set(t, writer, key, "new")
			_, err := reader.Fill(context.Background(), l, client.Item{Value: []byte("old")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			require.Equal(t, []string{"new", "new"}, h.values(key))
		}
	})
}

// One caller in the fleet wins; the others are told to wait until it fills.
func TestOneLeaseInTheFleet(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		ctx := context.Background()
		l := won(t, a, "k")
		for _, c := range []*client.Client{a, b} {
			other, err := c.Lease(ctx, "k", client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "wait", other.State.String())
			_, err = c.Get(ctx, "k")
			require.ErrorIs(t, err, client.ErrCacheMiss, "a stub is no value (rule 5)")
			found, err := c.GetMulti(ctx, []string{"k", "nothing"})
			require.NoError(t, err)
			require.Empty(t, found)
		}
		_, err := a.Fill(ctx, l, client.Item{Value: []byte("v")})
		require.NoError(t, err)
		hit, err := b.Lease(ctx, "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "hit", hit.State.String())
		require.Equal(t, "v", string(hit.Item.Value))
	})
}
