package pipe

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
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

// sharing makes a call that reads key and may share a classic get.
func (g *rig) sharing(key string) *Call {
	k := g.keyed(key)
	k.Share = true
	return k
}

func (g *rig) sharingAll(keys ...string) (ks []*Call) {
	for _, key := range keys {
		ks = append(ks, g.sharing(key))
	}
	return ks
}

// toldAll is what calls were told, in a form that can be compared.
func toldAll(ks []*Call) string {
	var all []Answer
	for _, k := range ks {
		all = append(all, k.Answer)
	}
	return toldOf(all)
}

// sharedGroup are four calls of which two ask for the same key, and what they are told: groupReply where the last's token is 1.
var (
	groupKeys  = []string{"a", "b", "b", "c", "d"}
	groupReply = []string{"VALUE b 1 2\r\nvb\r\n", "VALUE c 1 2\r\nvc\r\n", "END\r\n", "VA 2 f1 O1\r\nvd\r\n"}
	groupTold  = "EN 0 , VA 1 vb, EN 0 , VA 1 vc, VA 1 vd"
)

// newSharingRig is newRig where three share already.
func newSharingRig(t *testing.T) *rig {
	g := newRig(t)
	g.c.out.least = 3
	return g
}

// One of the replies is out of step: nobody is told anything, and the connection dies. What had been told before stays.
func TestSharedGetsOutOfStep(t *testing.T) {
	for name, spoil := range map[string]func(r []string) []string{
		"stray value":        func(r []string) []string { return slices.Insert(r, 1, "VALUE x 1 2\r\nvx\r\n") },
		"doubled value":      func(r []string) []string { return slices.Insert(r, 2, r[1]) },
		"swapped values":     func(r []string) []string { r[0], r[1] = r[1], r[0]; return r },
		"no line end":        func(r []string) []string { r[1] = "VALUE c 1 2\r\nvcxx"; return r },
		"late value":         func(r []string) []string { r[1], r[2] = r[2], r[1]; return r },
		"value of the proof": func(r []string) []string { return slices.Insert(r, 2, "VALUE d 1 2\r\nvd\r\n") },
		"no end":             func(r []string) []string { return slices.Delete(r, 2, 3) },
		"two ends":           func(r []string) []string { return slices.Insert(r, 2, r[2]) },
		"doubled command":    func(r []string) []string { return slices.Concat(r[:3], r) },
		"lost command":       func(r []string) []string { return r[3:] },
		"lost token":         func(r []string) []string { return append(r[:3], "VALUE a 1 2\r\nva\r\n") },
		"other token":        func(r []string) []string { r[3] = "VA 2 f1 O5\r\nvd\r\n"; return r },
		"no token":           func(r []string) []string { r[3] = "VA 2 f1\r\nvd\r\n"; return r },
		"error":              func(r []string) []string { r[1] = "SERVER_ERROR out of memory writing get response\r\n"; return r },
	} {
		t.Run(name, func(t *testing.T) {
			inPieces(t, func(t *testing.T, pieces func([]string) []string) {
				g := newSharingRig(t)
				g.replies(2, pieces(spoil(slices.Clone(groupReply))))
				ks := g.sharingAll(groupKeys...)
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				for _, k := range ks {
					require.True(t, g.c.Wait(context.Background(), k))
					require.ErrorIs(t, k.Err, errOf(name))
				}
				require.True(t, g.c.Dead())
				g.close()
			})
		})
	}
}

// The reply is cut at every byte, in every way: all are told the truth, or all fail.
func TestSharedGetsCutAtEveryByte(t *testing.T) {
	reply := strings.Join(groupReply, "")
	for _, fault := range []string{"close", "reset", "stall", "garbage", "error", "twice", "byte by byte"} {
		t.Run(fault, func(t *testing.T) {
			for at := range len(reply) + 1 {
				synctest.Test(t, func(t *testing.T) {
					g := newSharingRig(t)
					g.wg.Go(func() {
						for range 2 {
							if _, err := g.request(); err != nil {
								return
							}
						}
						g.spoil(reply, fault, at)
						io.Copy(io.Discard, g.r)
					})
					ks := g.sharingAll(groupKeys...)
					ks[1].Borrow = true
					require.NoError(t, g.c.StartAll(context.Background(), ks))
					whole := fault == "twice" || fault == "byte by byte" || at == len(reply)
					for i, k := range ks {
						where := fmt.Sprintf("%s at %d, call %d", fault, at, i)
						require.True(t, g.c.Wait(context.Background(), k), where)
						if whole {
							require.NoError(t, k.Err, where)
							require.True(t, k.Resp.Bare)
							continue
						}
						require.Error(t, k.Err, where)
						require.Equal(t, item.SentUnknown, k.Sent, where)
					}
					if whole {
						require.Equal(t, groupTold, toldAll(ks))
					}
					g.close()
				})
			}
		})
	}
}

// Callers leave at every millisecond of a reply that comes at a byte a millisecond: who stays is told the truth, who left has it settled,
// and the connection lives on.
func TestLeaveSharedGetsAtEveryByte(t *testing.T) {
	reply := strings.Replace(strings.Join(groupReply, ""), "O1", "O2", 1)
	left := 0
	for who := range groupKeys {
		for at := range 200 {
			synctest.Test(t, func(t *testing.T) {
				where := fmt.Sprintf("%d after %d ms", who, at)
				g := newSharingRig(t)
				g.c.cfg.Timeout = time.Minute
				g.slowly(reply, 2)
				lead := g.call(get())
				var wg sync.WaitGroup
				wg.Go(func() { g.do(context.Background(), lead) })
				synctest.Wait() // it is writing
				ks := g.sharingAll(groupKeys...)
				var settler keeper
				ks[who].Settler = &settler
				gone := false
				for i, k := range ks {
					ctx := context.Background()
					if i == who {
						c, cancel := context.WithTimeout(ctx, time.Duration(at)*time.Millisecond)
						defer cancel()
						ctx = c
					}
					require.NoError(t, g.c.Start(ctx, k))
					wg.Go(func() {
						if !g.c.Wait(ctx, k) {
							gone = i == who
						}
					})
				}
				wg.Wait()
				time.Sleep(time.Second) // nobody else reads: what is due is drained by itself
				require.Zero(t, g.c.Pending(), where)
				require.False(t, g.c.Dead(), where)
				settler.mu.Lock()
				got := settler.got
				settler.mu.Unlock()
				if gone {
					left++
					require.Len(t, got, 1, where)
					ks[who] = got[0]
				} else {
					require.Empty(t, got, where)
				}
				require.Equal(t, groupTold, toldAll(ks), where)
				g.close()
			})
		}
	}
	require.Positive(t, left, "nobody left: this tests nothing")
}

// Many callers' gets on a peer that has some of the keys, bursts and gets that do not share among them; some callers leave. Everybody is told
// what the peer has, whoever shared a command with whom.
func TestSharedGetsOfManyCallers(t *testing.T) {
	shared := int64(0)
	for seed := range scaled(200) {
		synctest.Test(t, func(t *testing.T) {
			g := newSharingRig(t)
			rng := rand.New(rand.NewPCG(uint64(seed), 12))
			there := map[string]bool{}
			var all []string
			for i := range 12 {
				key := fmt.Sprint("key", i)
				all = append(all, key)
				there[key] = rng.IntN(3) > 0
			}
			var gets atomic.Int64
			g.wg.Go(func() { serve(g, there, rng, &gets) })
			var left settled
			var bursts atomic.Int64
			var callers sync.WaitGroup
			for id := range 24 {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(id)))
				callers.Go(func() {
					for range 10 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(6000))*time.Microsecond)
						asked := []string{all[rng.IntN(len(all))]}
						k := g.sharing(asked[0])
						k.Borrow, k.Settler = rng.IntN(3) == 0, &left
						switch rng.IntN(12) {
						case 0:
							k.Share = false
						case 1:
							asked = append(asked, "key12")
							k.asking(asked)
							k.Share, k.Borrow = false, false
							bursts.Add(1)
						}
						require.NoError(t, g.c.Start(ctx, k))
						stayed := g.c.Wait(ctx, k)
						cancel()
						if !stayed {
							continue
						}
						g.served(k, there, asked)
						k.Free()
					}
				})
			}
			callers.Wait()
			synctest.Wait()
			require.False(t, g.c.Dead())
			shared += max(gets.Load()-bursts.Load(), 0)
			g.close()
		})
	}
	require.Positive(t, shared, "no two gets shared a command: this tests nothing")
}

// FuzzSharedReplies: whatever a peer says to gets that share, in whatever pieces, every call ends; all are told something or none; how the stream
// is cut changes nothing; and nobody is given a value that does not stand under the key asked for, and before the token of the last.
func FuzzSharedReplies(f *testing.F) {
	f.Add([]byte(strings.Join(groupReply, "")), uint16(7), uint16(30))
	f.Add([]byte("END\r\nEN O1\r\n"), uint16(3), uint16(2))
	f.Add([]byte("VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE b 0 1\r\n3\r\nVALUE c 0 1\r\n4\r\nEND\r\nVA 1 f0 O1\r\n5\r\n"), uint16(9), uint16(40))
	f.Add([]byte("EN O1\r\nEN O2\r\nEN O3\r\nEN O4\r\nEN O1\r\n"), uint16(9), uint16(4))
	f.Fuzz(func(t *testing.T, stream []byte, cut1, cut2 uint16) {
		if len(stream) > 1<<16 {
			return
		}
		i := int(cut1) % (len(stream) + 1)
		j := i + int(cut2)%(len(stream)-i+1)
		whole := listenShared(t, stream)
		require.Equal(t, whole, listenShared(t, stream[:i:i], stream[i:j:j], stream[j:]), "cut at %d and %d", i, j)
		for n, o := range whole {
			require.Equal(t, whole[0].Fail, o.Fail, "all or none")
			switch {
			case o.Fail != "":
			case n == len(whole)-1:
				require.True(t, standsBehind(stream, "1", o), "%+v", o)
			case o.Resp.Status == memproto.StatusVA:
				require.True(t, standsUnder(stream, groupKeys[n], o.Value), "call %d got %+v", n, o)
			default:
				require.Equal(t, memproto.StatusEN, o.Resp.Status)
			}
		}
	})
}

// listenShared has calls for groupKeys share a get whose peer says the parts.
func listenShared(t *testing.T, parts ...[]byte) (out []outcome) {
	var calls Pool
	var wg sync.WaitGroup
	c := New(&script{parts: parts}, Config{
		Timeout: time.Hour, MaxValue: 1 << 20, Calls: &calls, Go: func(f func()) bool { wg.Go(f); return true },
	})
	c.out.least = 3
	var ks []*Call
	for _, key := range groupKeys {
		k := calls.New()
		k.Req = get()
		k.Req.Key, k.Share = []byte(key), true
		ks = append(ks, k)
	}
	require.NoError(t, c.StartAll(context.Background(), ks))
	for _, k := range ks {
		require.True(t, c.Wait(context.Background(), k))
		o := outcome{Resp: k.Resp, Value: string(k.Value), Sent: k.Sent}
		if k.Err != nil {
			o = outcome{Fail: "failed", Sent: k.Sent}
		}
		out = append(out, o)
	}
	c.Kill(item.ErrClosed)
	wg.Wait()
	require.Zero(t, c.Pending())
	return out
}
