package pipe

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
)

// A peer answers what has not been sent yet, tokens and all: that is no answer, whoever it seems to be for. Reads that wait
// to share a command are still to be written from their calls then, which nobody may have for another request meanwhile.
func TestAReplyBeforeItsRequest(t *testing.T) {
	for name, test := range map[string]struct {
		reply string
		calls func(g *rig) []*Call
	}{
		"meta gets":       {"EN O2\r\nEN O3\r\n", func(g *rig) []*Call { return []*Call{g.call(get()), g.call(get())} }},
		"may share":       {"EN O2\r\nEN O3\r\n", func(g *rig) []*Call { return g.sharingAll("a", "b") }},
		"enough to":       {"EN O2\r\nEN O3\r\nEN O4\r\nEN O5\r\n", func(g *rig) []*Call { return g.sharingAll("a", "b", "c", "d") }},
		"share":           {"END\r\nEN O5\r\n", func(g *rig) []*Call { return g.sharingAll("a", "b", "c", "d") }},
		"share values":    {"VALUE a 1 1\r\nv\r\nEND\r\nEN O5\r\n", func(g *rig) []*Call { return g.sharingAll("a", "b", "c", "d") }},
		"burst of values": {"VALUE a 1 1\r\nv\r\nEND\r\nEN O2.2\r\n", func(g *rig) []*Call { return []*Call{g.call(get()).asking([]string{"a", "b", "c"})} }},
		"bursts":          {"END\r\nEN O2.2\r\n", func(g *rig) []*Call { return []*Call{g.call(get()).asking([]string{"a", "b", "c"})} }},
		"more bursts": {"END\r\nEN O2.1\r\nEN O3.1\r\n", func(g *rig) []*Call {
			return []*Call{g.call(get()).asking([]string{"a", "b"}), g.call(get()).asking([]string{"c", "d"})}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newSharingRig(t)
				ctx := context.Background()
				lead := g.call(get())
				g.wg.Go(func() {
					require.NoError(t, g.c.Start(ctx, lead))
					require.True(t, g.c.Wait(ctx, lead))
				})
				synctest.Wait() // it is writing, and will be until the peer reads
				ks := test.calls(g)
				for _, k := range ks {
					require.NoError(t, g.c.Start(ctx, k))
				}
				g.wg.Go(func() {
					io.WriteString(g.peer, "EN O1\r\n"+test.reply) // and reads nothing, or they would go out
				})
				for _, k := range ks {
					require.True(t, g.c.Wait(ctx, k))
					require.ErrorIs(t, k.Err, item.ErrDesync)
					require.Equal(t, item.NotSent, k.Sent)
					k.Free()
				}
				require.True(t, g.c.Dead())
				g.close()
			})
		})
	}
}
