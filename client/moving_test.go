package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// A counter that meets the stub of another client is not told that it is no number: nothing was
// counted, and it may be a moment later. Who meets it need not know why the stub is there.
func TestACounterMeetsAStub(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, other := h.client(), h.client()
		l := won(t, other, "k")
		_, err := c.Increment(t.Context(), "k", 1)
		require.ErrorIs(t, err, client.ErrOwnerDown)
		require.NotErrorIs(t, err, client.ErrNotNumber)
		require.True(t, client.SafeToRetry(err))
		_, err = other.Fill(t.Context(), l, client.Item{Key: "k", Value: []byte("41")})
		require.NoError(t, err)
		sum, err := c.Increment(t.Context(), "k", 1)
		require.NoError(t, err)
		require.EqualValues(t, 42, sum)
		set(t, c, "k", "4x")
		_, err = c.Increment(t.Context(), "k", 1)
		require.ErrorIs(t, err, client.ErrNotNumber)
	})
}
