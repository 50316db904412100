package pipe

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A caller who copies the value lends the memory for it, and finds it there the next time, whole as the reply came or in pieces.
func TestBorrowedSharedValues(t *testing.T) {
	for name, pieces := range map[string][]string{"in one piece": {strings.Join(groupReply, "")}, "in pieces": strings.SplitAfter(strings.Join(groupReply, ""), "v")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newSharingRig(t)
				g.wg.Go(func() {
					for range 2 {
						if _, err := g.request(); err != nil {
							return
						}
					}
					for _, s := range pieces {
						if _, err := io.WriteString(g.peer, s); err != nil {
							return
						}
					}
				})
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
		})
	}
}
