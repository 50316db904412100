package pipe

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A caller who copies the value lends the memory for it, and finds it there the next time, whole as the reply came or cut.
func TestBorrowedSharedValues(t *testing.T) {
	inPieces(t, func(t *testing.T, pieces func([]string) []string) {
		g := newSharingRig(t)
		g.replies(2, pieces(strings.SplitAfter(strings.Join(groupReply, ""), "v"))) // each value is cut
		ks := g.sharingAll(groupKeys...)
		for _, k := range ks {
			k.Borrow = true
		}
		require.NoError(t, g.c.StartAll(context.Background(), ks))
		for _, k := range slices.Backward(ks) {
			require.True(t, g.c.Wait(context.Background(), k))
			require.NoError(t, k.Err)
		}
		require.Equal(t, groupTold, toldAll(ks))
		for _, k := range ks {
			require.Equal(t, len(k.Value), len(k.own))
			if len(k.own) > 0 {
				require.Same(t, &k.Value[0], &k.own[0])
			}
		}
		g.close()
	})
}
