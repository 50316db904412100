package pipe

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// A value carries its key, so a reply that reaches the wrong caller shows.
func answer(r memproto.Request) string {
	if r.Cmd == memproto.CmdMetaSet {
		return "HD O" + string(r.Opaque) + "\r\n"
	}
	value := "value of " + string(r.Key)
	return fmt.Sprintf("VA %d f1 O%s\r\n%s\r\n", len(value), r.Opaque, value)
}

// Replies out of step: whatever the peer does to the seventh of twenty pipelined
// replies, no caller gets another's value, and the connection dies.
func TestRepliesOutOfStep(t *testing.T) {
	for name, spoil := range map[string]func(replies []string) []string{
		"stray":             func(r []string) []string { return append(r[:6:6], append([]string{"EN O0\r\n"}, r[6:]...)...) },
		"duplicate":         func(r []string) []string { return append(r[:7:7], append([]string{r[6]}, r[7:]...)...) },
		"missing":           func(r []string) []string { return append(r[:6:6], r[7:]...) },
		"swapped":           func(r []string) []string { r[6], r[7] = r[7], r[6]; return r },
		"no opaque":         func(r []string) []string { r[6] = "VA 3 f1\r\nabc\r\n"; return r },
		"unknown word":      func(r []string) []string { r[6] = "BOGUS\r\n"; return r },
		"ERROR":             func(r []string) []string { r[6] = "ERROR\r\n"; return r },
		"CLIENT_ERROR":      func(r []string) []string { r[6] = "CLIENT_ERROR bad data chunk\r\n"; return r },
		"SERVER_ERROR":      func(r []string) []string { r[6] = "SERVER_ERROR out of memory\r\n"; return r },
		"classic":           func(r []string) []string { r[6] = "VALUE k6 0 1\r\nx\r\nEND\r\n"; return r },
		"endless line":      func(r []string) []string { r[6] = fmt.Sprintf("VA 1 k%040000d\r\n", 0); return r },
		"giant value":       func(r []string) []string { r[6] = "VA 99999999999 f1 O7\r\n"; return r },
		"negative length":   func(r []string) []string { r[6] = "VA -1 f1 O7\r\n"; return r },
		"reply to nobody":   func(r []string) []string { return append([]string{"HD O0\r\n"}, r...) },
		"wrong line ending": func(r []string) []string { r[6] = "VA 3 f1 O7\r\nabcd\n"; return r },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				const n = 20
				g.wg.Go(func() {
					var replies []string
					for range n {
						r, err := g.request()
						if err != nil {
							return
						}
						replies = append(replies, answer(r))
					}
					for _, s := range spoil(replies) {
						if _, err := io.WriteString(g.peer, s); err != nil {
							return
						}
					}
				})
				ks := make([]*Call, n)
				for i := range ks {
					ks[i] = g.call(get())
					ks[i].Req.Key = fmt.Append(nil, "k", i)
				}
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				failed := 0
				for i, k := range ks {
					require.True(t, g.c.Wait(context.Background(), k))
					if k.Err != nil {
						failed++
						require.Equal(t, item.SentUnknown, k.Sent)
						continue
					}
					require.Equal(t, fmt.Sprint("value of k", i), string(k.Value))
				}
				require.GreaterOrEqual(t, failed, 13, "nothing behind the misfit is believed")
				require.True(t, g.c.Dead())
				g.close()
			})
		})
	}
}

// A refused set is its own failure: the next reply's opaque proves the alignment.
func TestARefusedSetFailsItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		const n = 256
		g.wg.Go(func() {
			for i := range n {
				r, err := g.request()
				if err != nil {
					return
				}
				reply := answer(r)
				if i%100 == 50 {
					reply = refusal
				}
				io.WriteString(g.peer, reply)
			}
		})
		setsOfWhichSomeAreRefused(t, g, n)
	})
}

const refusal = "SERVER_ERROR object too large for cache\r\n"

// setsOfWhichSomeAreRefused sends n sets at once, of which the peer refuses every hundredth from the 51st on.
func setsOfWhichSomeAreRefused(t *testing.T, g *rig, n int) {
	var wg sync.WaitGroup
	for i := range n {
		k := g.call(memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")})
		require.NoError(t, g.c.Start(context.Background(), k))
		wg.Go(func() {
			require.True(t, g.c.Wait(context.Background(), k))
			require.NoError(t, k.Err)
			if i%100 == 50 {
				require.Equal(t, memproto.StatusServerError, k.Resp.Status)
				require.Equal(t, item.Answered, k.Sent)
				require.Equal(t, "object too large for cache", k.Text)
			} else {
				require.Equal(t, memproto.StatusHD, k.Resp.Status)
			}
		})
	}
	wg.Wait()
	require.False(t, g.c.Dead())
	g.close()
}

// What has not been handed to the socket when the connection dies was not sent.
func TestNotSentIsToldFromUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		// Nobody reads at the peer: the first write blocks, and the others queue behind.
		first, second := g.call(get()), g.call(get())
		started := make(chan struct{})
		g.wg.Go(func() {
			close(started)
			require.NoError(t, g.c.Start(context.Background(), first))
		})
		<-started
		synctest.Wait()
		require.NoError(t, g.c.Start(context.Background(), second))
		g.c.Kill(item.ErrConnLost)
		require.True(t, g.c.Wait(context.Background(), first))
		require.True(t, g.c.Wait(context.Background(), second))
		require.Equal(t, item.SentUnknown, first.Sent)
		require.Equal(t, item.NotSent, second.Sent)
		require.ErrorIs(t, g.c.Start(context.Background(), g.call(get())), item.ErrConnLost)
		g.close()
	})
}

// Memory follows the bytes that arrive, not the length that is announced.
func TestAnAnnouncedLengthAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.wg.Go(func() {
			if _, err := g.request(); err == nil {
				io.WriteString(g.peer, "VA 100000000 f1 O1\r\nabc")
			}
		})
		k := g.call(get())
		require.True(t, g.do(context.Background(), k))
		require.ErrorIs(t, k.Err, item.ErrTimeout)
		require.LessOrEqual(t, len(g.c.body), firstBody)
		g.close()
	})
}

// Values around the sizes at which the way they are read changes.
func TestValueSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		sizes := []int{0, 1, directRead - 1, directRead, directRead + 1, readBuffer - 30, readBuffer - 2, readBuffer, readBuffer + 1, firstBody - 1, firstBody, firstBody + 1, 3*firstBody + 7, 1 << 20}
		g.wg.Go(func() {
			for _, size := range sizes {
				r, err := g.request()
				if err != nil {
					return
				}
				b := fmt.Appendf(nil, "VA %d f1 O%s\r\n", size, r.Opaque)
				for i := range size {
					b = append(b, byte('a'+i%26))
				}
				g.peer.Write(append(b, "\r\n"...))
			}
		})
		for _, size := range sizes {
			k := g.call(get())
			k.Borrow = size%2 == 1
			require.True(t, g.do(context.Background(), k))
			require.NoError(t, k.Err, size)
			require.Len(t, k.Value, size)
			for i, b := range k.Value {
				if b != byte('a'+i%26) {
					t.Fatalf("size %d: byte %d is %q", size, i, b)
				}
			}
			k.Free()
		}
		g.close()
	})
}
