package pipe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/memproto"
)

// holding is a connection that only queues.
func holding(least int, token func(*Call) []byte) *Conn {
	c := &Conn{}
	c.cfg.InFlight, c.cfg.Without.Overdue = new(atomic.Int64), true
	c.out.least, c.out.token = least, token
	return c
}

// What goes out for calls queued together, read back by the server's parser: every read is asked for once, in the order of the
// queue; where enough may share they do, all but the last of them, and no line is too long. What may not share
// goes out as it was queued, those that may when the line is full, or a large value is next, or else at the end.
func TestSharedRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var calls Pool
		token, names := map[*Call][]byte{}, map[*Call]string{}
		c := holding(rapid.IntRange(2, 6).Draw(t, "least"), func(k *Call) []byte { return token[k] })
		var want []string // the keys, in order
		var run []string  // those that may share, since the last full line
		var spans []int   // how long each command's group should be
		runLen := 0
		endRun := func() {
			if len(run) >= c.out.least {
				spans = append(spans, len(run))
			}
			want = append(want, run...)
			run, runLen = nil, 0
		}
		n := rapid.IntRange(1, 40).Draw(t, "calls")
		for i := range n {
			k := calls.New()
			k.Req = get()
			key := fmt.Sprintf("k%d", i) + strings.Repeat("x", rapid.SampledFrom([]int{0, 3, 200}).Draw(t, "long"))
			k.Req.Key, token[k], names[k] = []byte(key), fmt.Appendf(nil, "t%d", i), key
			k.cmd = k.Req.Cmd
			switch kind := rapid.IntRange(0, 15).Draw(t, "kind"); kind {
			default:
				k.Share = true
				if runLen+len(key)+1 > maxGetLine {
					endRun()
				}
				run, runLen = append(run, key), runLen+len(key)+1
			case 0, 1:
				if kind == 1 {
					k.Req = memproto.Request{Cmd: memproto.CmdMetaSet, Key: k.Req.Key, Value: make([]byte, bulkRequest)}
					endRun()
				}
				k.Req.Opaque, k.Req.Flags = token[k], k.Req.Flags|memproto.FlagO
				if k.line = k.Req.AppendLine(k.line[:0]); kind == 1 {
					k.bulk = append(append(append(k.bulk, k.line...), k.Req.Value...), lineEnd...)
				}
				want = append(want, key)
			}
			before := c.appended
			c.enqueue(k)
			require.Equal(t, !k.Share, c.appended > before && c.queue[len(c.queue)-1] == k)
		}
		endRun()
		require.False(t, c.out.empty())
		require.EqualValues(t, n, c.queued.Load())
		require.EqualValues(t, n, c.pending.Load())
		p := c.takeOut()
		require.True(t, c.out.empty())
		require.Equal(t, c.taken, c.appended)
		sent := slices.Concat(p.bufs...)
		require.Len(t, sent, int(c.appended))
		var got []string
		var groups []int
		for rest := sent; len(rest) > 0; {
			var r memproto.Request
			size, err := memproto.DecodeRequest(rest, nil, &r)
			require.NoError(t, err)
			k := c.queue[len(got)]
			require.Less(t, k.offset, c.taken)
			if r.Cmd == memproto.CmdGet {
				require.LessOrEqual(t, size, 2048)
				keys := strings.Fields(string(rest[:size]))[1:]
				require.Equal(t, len(keys)+1, int(k.span), "the first knows how many there are")
				got, groups = append(got, keys...), append(groups, len(keys)+1)
			} else {
				require.Equal(t, string(token[k]), string(r.Opaque))
				require.Zero(t, k.span)
				got = append(got, string(r.Key))
				if r.Cmd == memproto.CmdMetaSet {
					size += bulkRequest + len(lineEnd)
				}
			}
			rest = rest[size:]
		}
		require.Equal(t, want, got)
		require.Equal(t, spans, groups)
		for i, k := range c.queue {
			require.Equal(t, names[k], got[i])
		}
	})
}

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
