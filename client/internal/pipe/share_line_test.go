package pipe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// As many reads share one command as there is room for in its line, and no more.
func TestSharedGetsFillTheirLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var calls Pool
		c := holding(minShared, func(*Call) []byte { return []byte("t") })
		longest := rapid.IntRange(1, 90).Draw(t, "longest")
		left, room, spans := 0, 0, []int(nil)
		for range rapid.IntRange(1, 2*maxGetLine/longest).Draw(t, "calls") {
			k := calls.New()
			k.Req, k.Share = get(), true
			k.Req.Key = []byte(strings.Repeat("x", rapid.SampledFrom([]int{1, longest, longest}).Draw(t, "long")))
			if n := len(k.Req.Key) + 1; n > room {
				spans, room, left = append(spans, left), maxGetLine, 0
			}
			room, left = room-len(k.Req.Key)-1, left+1
			c.enqueue(k)
		}
		spans = slices.DeleteFunc(append(spans, left), func(n int) bool { return n < minShared })
		p := c.takeOut()
		for line := range strings.Lines(string(slices.Concat(p.bufs...))) {
			keys, is := strings.CutPrefix(line, "get ")
			if !is {
				continue
			}
			require.LessOrEqual(t, len(line), len("get")+maxGetLine+len(lineEnd))
			require.NotEmpty(t, spans)
			require.Len(t, strings.Fields(keys), spans[0]-1)
			spans = spans[1:]
		}
		require.Empty(t, spans)
	})
}

// On a connection that speaks classic words reads share nothing, and what they are told is all that the node can tell.
func TestNobodySharesInClassicWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newClassicRig(t)
		g.c.out.least = 2
		g.wg.Go(func() {
			if g.commands(3) == nil {
				fmt.Fprint(g.peer, "END\r\nVALUE b 1 2\r\nvb\r\nEND\r\nEND\r\n")
			}
		})
		ks := g.sharingAll("a", "b", "b")
		require.NoError(t, g.c.StartAll(context.Background(), ks))
		for _, k := range ks {
			require.True(t, g.c.Wait(context.Background(), k))
			require.NoError(t, k.Err)
			require.False(t, k.Resp.Bare)
		}
		require.Equal(t, "EN 0 , VA 1 vb, EN 0 ", toldAll(ks))
		g.close()
	})
}
