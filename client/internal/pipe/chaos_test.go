package pipe

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// liar answers requests, holding some back to answer them together, and lies once in
// a while in one of the ways a peer out of step lies.
func (g *rig) liar(rng *rand.Rand, lieEvery int, lied *atomic.Bool) {
	g.wg.Go(func() {
		var held []string
		last := "EN O0\r\n"
		for {
			r, err := g.request()
			if err != nil {
				return
			}
			reply := answer(r)
			if rng.IntN(lieEvery) == 0 {
				lied.Store(true)
				other := r
				other.Opaque = fmt.Append(nil, "z", rng.IntN(100))
				reply = []string{
					"",                     // missing
					reply + reply,          // twice
					last,                   // an old one instead
					last + reply,           // an old one in between
					answer(other),          // a token that was never given
					"VA 5 f1\r\nwrong\r\n", // no token at all
					headOf(reply),          // half a line, then the next
					"HD O" + string(r.Opaque) + "x\r\n",
					"MN\r\n", "END\r\n", "\r\n", "\x00\xff",
				}[rng.IntN(12)]
			} else {
				last = reply
			}
			held = append(held, reply)
			if rng.IntN(3) == 0 && len(held) > 1 {
				i := rng.IntN(len(held) - 1)
				if lied.Load() {
					held[i], held[i+1] = held[i+1], held[i] // out of order
				}
			}
			// Requests come without a pause while callers are busy; what is held back goes
			// out after a moment.
			if len(held) < 4 && rng.IntN(2) == 0 && g.r.Buffered() > 0 {
				continue
			}
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
			for _, s := range held {
				for len(s) > 0 { // in pieces
					n := 1 + rng.IntN(len(s))
					if _, err := io.WriteString(g.peer, s[:n]); err != nil {
						return
					}
					s = s[n:]
				}
			}
			held = held[:0]
		}
	})
}

// headOf is a reply that breaks off within its first line. One that breaks off in its
// data block can't always be told: if the bytes of the next reply happen to end it
// where a line ends, it is a value like any other. That is what a closed connection
// is for, and TestCutReplies.
func headOf(reply string) string { return reply[:strings.Index(reply, "\r\n")/2] }

// Whatever a peer out of step answers, and whoever leaves when, nobody is given
// another's reply: not the callers, and not the Settlers of those that left.
func TestAPeerThatLies(t *testing.T) {
	died := 0
	for seed := range scaled(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			g := newRig(t)
			var lied atomic.Bool
			g.liar(rng, 60, &lied)
			var left, settledCalls, hits atomic.Int64
			var callers sync.WaitGroup
			for id := range 12 {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(id+2)))
				callers.Go(func() {
					for i := range 12 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(40_000))*time.Microsecond)
						k := g.call(get())
						key := fmt.Sprintf("k%d-%d", id, i)
						k.Req.Key = []byte(key)
						check := func(k *Call) {
							if k.Err == nil {
								require.Equal(t, "value of "+key, string(k.Value), "seed %d", seed)
								hits.Add(1)
							}
						}
						k.Settler = settleFunc(func(k *Call) { settledCalls.Add(1); check(k) })
						if g.do(ctx, k) {
							check(k)
							k.Free()
						} else {
							left.Add(1)
						}
						cancel()
					}
				})
			}
			callers.Wait()
			time.Sleep(2 * rigTimeout)
			synctest.Wait()
			require.Equal(t, left.Load(), settledCalls.Load(), "seed %d", seed)
			require.Zero(t, g.c.Pending(), "seed %d", seed)
			if !lied.Load() {
				require.False(t, g.c.Dead(), "seed %d: an honest peer was taken for a liar", seed)
			}
			if g.c.Dead() {
				died++
			}
			g.close()
		})
	}
	if scaled(300) >= 30 {
		require.Positive(t, died)
	}
}

// settleFunc is a Settler that is a function.
type settleFunc func(k *Call)

func (f settleFunc) Settle(_ *Conn, k *Call) { f(k) }

// The node refuses a value before it has read it, goes on reading, and stays in step:
// the refusal is the caller's, and the next reply belongs to the next request.
func TestRefusedBeforeTheBodyIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		const n = 20
		g.wg.Go(func() {
			for range n {
				line, err := g.r.ReadBytes('\n')
				if err != nil {
					return
				}
				var r memproto.Request
				// The line is read, its 4 MB are not.
				if _, err = memproto.DecodeRequest(line, &memproto.Limits{MaxValue: 8 << 20}, &r); err != nil {
					return
				}
				if r.Cmd != memproto.CmdMetaSet {
					io.WriteString(g.peer, answer(r))
					continue
				}
				// A node that answers at once needs somebody who reads at once; a socket has
				// room for a line, this connection has none.
				g.wg.Go(func() { io.WriteString(g.peer, "SERVER_ERROR object too large for cache\r\n") })
				synctest.Wait()
				if _, err := g.r.Discard(r.BodyLen + 2); err != nil {
					return
				}
			}
		})
		value := make([]byte, 4<<20)
		for range n / 2 {
			big := g.call(memproto.Request{Cmd: memproto.CmdMetaSet, Value: value})
			require.True(t, g.do(t.Context(), big))
			require.NoError(t, big.Err)
			require.Equal(t, item.Answered, big.Sent)
			require.Equal(t, "object too large for cache", big.Text)
			big.Free()
			next := g.call(get())
			require.True(t, g.do(t.Context(), next))
			require.NoError(t, next.Err)
			require.Equal(t, "value of key", string(next.Value))
			next.Free()
		}
		g.close()
	})
}
