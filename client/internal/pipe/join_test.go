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
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/memproto"
)

// What goes out for calls queued together, read back by the server's parser: the keys of neighbouring bursts stand in one
// command, all in their order, and every call is as long as the outbox says.
func TestJoinedRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var calls Pool
		var out outbox
		var classic, metas, plain []string // what should come
		lean := ""                         // the key whose meta get the next burst that shares may spare
		length, commands, weight := 0, 0, 0
		last := "" // the word of the command that the next burst may share
		shared := 0
		for i := range rapid.IntRange(1, 12).Draw(t, "calls") {
			k := calls.New()
			k.Req = get()
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				k.Req.Key = fmt.Appendf(nil, "p%d", i)
				plain = append(plain, string(k.Req.Key))
				k.line = k.Req.AppendLine(k.line[:0])
				length += out.add(k)
				weight++
				last, lean = "", ""
				continue
			}
			word := "get"
			if rapid.Bool().Draw(t, "tokens") {
				word, k.Req.Flags = "gets", k.Req.Flags|memproto.FlagLc
			}
			keys := rapid.SliceOfN(rapid.OneOf(rapid.StringMatching(`[a-z]{1,9}`), rapid.StringMatching(`[a-z]{200,240}`)), 1, 12).Draw(t, "keys")
			proves := rapid.IntRange(0, 2).Draw(t, "proves") == 0
			if proves {
				k.proving(keys)
			} else {
				k.asking(keys)
			}
			k.Req.Flags |= memproto.FlagO
			k.burst.encode(&k.Req, fmt.Appendf(nil, "t%d", i), 0)
			mine := 0
			for _, key := range keys[:len(keys)-1] {
				mine += 1 + len(key)
			}
			if !proves {
				mine += 1 + len(keys[len(keys)-1])
			}
			joins := len(keys) > 1 && last == word && len(k.burst.ends) == 1 && shared+mine <= maxGetLine
			length += out.add(k)
			weight += len(keys)
			require.Equal(t, joins, k.burst.joined)
			switch {
			case joins:
				shared += mine
			case len(k.burst.ends) == 1:
				commands, last, shared = commands+1, word, mine
			default:
				commands, last = commands+len(k.burst.ends), ""
			}
			if joins && lean != "" {
				classic, metas = append(classic, lean), metas[:len(metas)-1]
			}
			classic = append(classic, keys[:len(keys)-1]...)
			metas = append(metas, keys[len(keys)-1])
			if lean = ""; !proves {
				lean = keys[len(keys)-1]
			}
		}
		require.False(t, out.empty())
		require.Equal(t, weight, out.calls, "keys asked for, which the flusher waits for more of")
		p := out.take()
		require.True(t, out.empty())
		sent := slices.Concat(p.bufs...)
		require.Len(t, sent, length)
		for rest := sent; len(rest) > 0; {
			var r memproto.Request
			n, err := memproto.DecodeRequest(rest, nil, &r)
			require.NoError(t, err)
			switch {
			case r.Cmd == memproto.CmdGet || r.Cmd == memproto.CmdGets:
				require.LessOrEqual(t, n, 2048)
				commands--
				for _, key := range strings.Fields(string(rest[:n]))[1:] {
					require.Equal(t, classic[0], key)
					classic = classic[1:]
				}
			case len(r.Opaque) == 0:
				require.Equal(t, plain[0], string(r.Key))
				plain = plain[1:]
			default:
				require.Equal(t, metas[0], string(r.Key))
				metas = metas[1:]
			}
			rest = rest[n:]
		}
		require.Empty(t, classic)
		require.Empty(t, metas)
		require.Empty(t, plain)
		require.Zero(t, commands)
	})
}

// The second of two bursts that share a command gets its values later than the timeout, but one after the other: neither
// is overdue.
func TestALongJoinedBurstIsNotOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		const n = 30
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprint("k", i))
		}
		g.wg.Go(func() {
			for range 2 {
				if _, err := g.request(); err != nil {
					return
				}
			}
			for _, key := range keys[:n-1] {
				time.Sleep(rigTimeout / 10)
				io.WriteString(g.peer, "VALUE "+key+" 1 1\r\nv\r\n")
			}
			io.WriteString(g.peer, "END\r\nVA 1 f1 O2.t\r\nv\r\n")
		})
		ks := []*Call{g.call(get()).asking([]string{"x", "y"}), g.call(get()).asking(keys)}
		require.NoError(t, g.c.StartAll(context.Background(), ks))
		for _, k := range ks {
			require.True(t, g.c.Wait(context.Background(), k))
			require.NoError(t, k.Err)
		}
		require.Equal(t, "EN 0 , EN 0 ", toldOf(ks[0].Answers()))
		require.Equal(t, strings.Repeat("VA 1 v, ", n-1)+"VA 1 v", toldOf(ks[1].Answers()))
		g.close()
	})
}

// Many callers' bursts, and single gets among them, on a peer that has some of the keys; some callers leave. Everybody is told
// what the peer has, whoever shared a command with whom.
func TestBurstsOfManyCallers(t *testing.T) {
	joined := int64(0)
	for seed := range scaled(200) {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			rng := rand.New(rand.NewPCG(uint64(seed), 11))
			there := map[string]bool{}
			var all []string
			for i := range 24 {
				key := fmt.Sprint("key", i)
				all = append(all, key)
				there[key] = rng.IntN(3) > 0
			}
			var bursts, gets atomic.Int64 // classic commands wanted, and received
			g.wg.Go(func() { serve(g, there, rng, &gets) })
			var left settled
			var callers sync.WaitGroup
			for id := range 8 {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(id)))
				callers.Go(func() {
					for range 10 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(4000))*time.Microsecond)
						asked := slices.Clone(all)
						rng.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
						asked = asked[:1+rng.IntN(8)]
						k := g.call(get())
						k.Settler = &left
						if rng.IntN(5) > 0 {
							if rng.IntN(4) == 0 {
								k.proving(asked)
							} else {
								k.asking(asked)
							}
							if len(asked) > 1 {
								bursts.Add(1)
							}
							if rng.IntN(4) == 0 {
								k.Req.Flags |= memproto.FlagLc
							}
						} else {
							k.Req.Key, asked = []byte(asked[0]), asked[:1]
						}
						require.NoError(t, g.c.Start(ctx, k))
						if !g.c.Wait(ctx, k) {
							cancel()
							continue
						}
						cancel()
						g.served(k, there, asked)
						k.Free()
					}
				})
			}
			callers.Wait()
			synctest.Wait()
			require.False(t, g.c.Dead())
			joined += bursts.Load() - gets.Load()
			g.close()
		})
	}
	require.Positive(t, joined, "no two bursts shared a command: this tests nothing")
}

// served sees to it that k, which asked for these keys, was told what the peer of serve has.
func (g *rig) served(k *Call, there map[string]bool, asked []string) {
	require.NoError(g.t, k.Err)
	answers := []Answer{k.Answer}
	if k.burst != nil {
		answers = k.Answers()
	}
	require.Len(g.t, answers, len(asked))
	for i, a := range answers {
		want, value := memproto.StatusEN, ""
		if there[asked[i]] {
			want, value = memproto.StatusVA, "value of "+asked[i]
		}
		require.Equal(g.t, want, a.Resp.Status)
		require.Equal(g.t, value, string(a.Value))
	}
}

// serve answers reads until the connection ends, late and in pieces.
func serve(g *rig, there map[string]bool, rng *rand.Rand, gets *atomic.Int64) {
	for {
		line, err := g.r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		var reply strings.Builder
		switch words[0] {
		case "get", "gets":
			gets.Add(1)
			for _, key := range words[1:] {
				if !there[key] {
					continue
				}
				cas := ""
				if words[0] == "gets" {
					cas = " 7"
				}
				fmt.Fprintf(&reply, "VALUE %s 0 %d%s\r\nvalue of %s\r\n", key, len("value of "+key), cas, key)
			}
			reply.WriteString("END\r\n")
		case "mg":
			op := words[slices.IndexFunc(words, func(w string) bool { return w[0] == 'O' })]
			if there[words[1]] {
				fmt.Fprintf(&reply, "VA %d f0 %s\r\nvalue of %s\r\n", len("value of "+words[1]), op, words[1])
			} else {
				fmt.Fprintf(&reply, "EN %s\r\n", op)
			}
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
		for rest := reply.String(); rest != ""; {
			n := 1 + rng.IntN(len(rest))
			if _, err := io.WriteString(g.peer, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}
}
