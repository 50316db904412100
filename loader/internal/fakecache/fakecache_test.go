package fakecache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lease(t *testing.T, c *fakecache.Cache, want item.LeaseState) item.Lease {
	t.Helper()
	l, err := c.Lease(t.Context(), "k", item.LeaseOptions{TTL: 3 * time.Second})
	require.NoError(t, err)
	require.Equal(t, want, l.State)
	return l
}

func it(v string) item.Item { return item.Item{Key: "k", Value: []byte(v)} }

// What memcached 1.6.18 answers to mg N, ms C, md and md C, seen through the client.
func TestLeaseLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := fakecache.New(2)
		l := lease(t, c, item.LeaseWon)
		require.Len(t, l.Tokens, 2)
		lease(t, c, item.LeaseWait)
		require.NoError(t, c.Release(ctx, l))
		l = lease(t, c, item.LeaseWon) // at once after a release
		_, err := c.Delete(ctx, "k")
		require.NoError(t, err)
		_, err = c.Fill(ctx, l, it("old"))
		require.ErrorIs(t, err, item.ErrLeaseLost) // voided by the delete
		l = lease(t, c, item.LeaseWon)
		time.Sleep(3 * time.Second)
		l2 := lease(t, c, item.LeaseWon) // its time was up
		_, err = c.Fill(ctx, l, it("late"))
		require.ErrorIs(t, err, item.ErrLeaseLost)
		o, err := c.Fill(ctx, l2, it("v"))
		require.NoError(t, err)
		require.Equal(t, item.Outcome{Copies: 2, Confirmed: 2}, o)
		require.Equal(t, "v", string(lease(t, c, item.LeaseHit).Item.Value))
		require.NoError(t, c.Release(ctx, l2)) // a spent lease releases nothing
		lease(t, c, item.LeaseHit)
	})
}

func TestWriteTokens(t *testing.T) {
	ctx := t.Context()
	c := fakecache.New(3)
	c.Plant("k", []byte("old"))
	a, err := c.LeaseWrite(ctx, "k")
	require.NoError(t, err)
	b, err := c.LeaseWrite(ctx, "k")
	require.NoError(t, err)
	_, err = c.Fill(ctx, a, it("a"))
	require.NoError(t, err)
	_, err = c.Fill(ctx, b, it("b")) // the other writer was first: neither stays
	require.ErrorIs(t, err, item.ErrLeaseLost)
	for i := range 3 {
		_, ok := c.Peek(i, "k")
		require.False(t, ok)
	}
}

// What FillKeep stored can be stored again until somebody else changes it on any copy.
func TestFillKeep(t *testing.T) {
	ctx := t.Context()
	c := fakecache.New(2)
	l, err := c.LeaseWrite(ctx, "k")
	require.NoError(t, err)
	for range 3 {
		l, _, err = c.FillKeep(ctx, l, it("v"))
		require.NoError(t, err)
		require.Len(t, l.Tokens, 2)
	}
	c.Plant("k", []byte("other"))
	_, _, err = c.FillKeep(ctx, l, it("v"))
	require.ErrorIs(t, err, item.ErrLeaseLost)
	for i := range 2 {
		_, ok := c.Peek(i, "k")
		require.False(t, ok)
	}
	won := lease(t, c, item.LeaseWon)
	_, _, err = c.FillKeep(ctx, won, it("v"))
	require.ErrorIs(t, err, item.ErrLeaseLost)
}

func TestDebt(t *testing.T) {
	ctx := t.Context()
	c := fakecache.New(2)
	c.Plant("k", []byte("old"))
	c.SetDown(0, true)
	o, err := c.Delete(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, item.Outcome{Copies: 2, Confirmed: 1, Owed: 1, Found: true}, o)
	c.SetDown(1, true)
	lease(t, c, item.LeaseNone)
	_, err = c.Delete(ctx, "k")
	require.ErrorIs(t, err, item.ErrTooFewAcks)
	_, err = c.LeaseWrite(ctx, "k")
	require.Error(t, err)
	c.SetDown(0, false)
	_, ok := c.Peek(0, "k")
	require.False(t, ok, "replayed before it is read")
}
