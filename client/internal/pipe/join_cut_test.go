package pipe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// joinedPair is two bursts that share a command, with two keys in common, of each of which one value comes; sharedKeys are what they
// ask for, sharedTold what each is told.
type joinedPair struct {
	first    func(k *Call, keys []string) *Call // makes the first burst
	commands int                                // how many they are together
	reply    []string                           // to them, where the tokens are 1 and 2
	whole    [2]int                             // behind how many of these each burst is complete
}

var (
	sharedKeys  = [][]string{{"a", "b", "c"}, {"b", "a", "d"}}
	sharedTold  = []string{"EN 0 , VA 1 vb, EN 0 ", "EN 0 , VA 1 va, VA 1 vd"}
	joinedPairs = map[string]joinedPair{
		"each with its proof": {(*Call).proving, 3, []string{"VALUE b 1 2\r\nvb\r\n", "VALUE a 1 2\r\nva\r\n", "END\r\n", "EN O1.2\r\n", "VA 2 f1 O2.2\r\nvd\r\n"}, [2]int{4, 5}},
		"with one proof":      {(*Call).asking, 2, []string{"VALUE b 1 2\r\nvb\r\n", "VALUE a 1 2\r\nva\r\n", "END\r\n", "VA 2 f1 O2.2\r\nvd\r\n"}, [2]int{4, 4}},
	}
)

// calls are the two bursts.
func (p *joinedPair) calls(g *rig) []*Call {
	return []*Call{p.first(g.call(get()), sharedKeys[0]), g.call(get()).asking(sharedKeys[1])}
}

// The reply is cut at every byte, in every way: each burst is told the truth, whole, or fails; the first may be complete where the
// second is not.
func TestJoinedBurstsCutAtEveryByte(t *testing.T) {
	for name, pair := range joinedPairs {
		reply := strings.Join(pair.reply, "")
		for _, fault := range []string{"close", "reset", "stall", "garbage", "error", "twice", "byte by byte"} {
			t.Run(name+"/"+fault, func(t *testing.T) {
				for at := range len(reply) + 1 {
					synctest.Test(t, func(t *testing.T) {
						g := newRig(t)
						g.wg.Go(func() {
							for range pair.commands {
								if _, err := g.request(); err != nil {
									return
								}
							}
							g.spoil(reply, fault, at)
							io.Copy(io.Discard, g.r)
						})
						ks := pair.calls(g)
						require.NoError(t, g.c.StartAll(context.Background(), ks))
						require.True(t, ks[1].burst.joined)
						for i, k := range ks {
							where := fmt.Sprintf("%s at %d, burst %d", fault, at, i)
							require.True(t, g.c.Wait(context.Background(), k), where)
							if fault == "twice" || fault == "byte by byte" || at >= len(strings.Join(pair.reply[:pair.whole[i]], "")) {
								require.NoError(t, k.Err, where)
								require.Equal(t, sharedTold[i], toldOf(k.Answers()), where)
								require.Equal(t, []bool{false, true, false}, []bool{k.Answers()[0].Resp.Bare, k.Answers()[1].Resp.Bare, k.Answers()[2].Resp.Bare}, "values of the classic command")
								require.Equal(t, 2+2*i, k.valueBytes())
								continue
							}
							require.Error(t, k.Err, where)
							require.Equal(t, item.SentUnknown, k.Sent, where)
							require.Empty(t, k.Answers(), where)
						}
						g.close()
					})
				}
			})
		}
	}
}

// Two bursts are queued behind a write, share a command and are answered, at a byte a millisecond; the caller of the first leaves
// meanwhile, or that of the second, or both, at every millisecond. Whoever stays is told the truth, who left has it settled, and
// the connection lives on.
func TestLeaveAJoinedBurstAtEveryByte(t *testing.T) {
	for name, pair := range joinedPairs {
		for who, leaves := range map[string][2]bool{"first": {true, false}, "second": {false, true}, "both": {true, true}} {
			t.Run(name+"/"+who, func(t *testing.T) { pair.leave(t, leaves) })
		}
	}
}

func (p *joinedPair) leave(t *testing.T, leaves [2]bool) {
	reply := strings.NewReplacer("O2.", "O3.", "O1.", "O2.").Replace(strings.Join(p.reply, ""))
	left := 0
	for at := range 300 {
		synctest.Test(t, func(t *testing.T) {
			where := fmt.Sprintf("after %d ms", at)
			g := newRig(t)
			g.c.cfg.Timeout = time.Minute
			g.slowly(reply, p.commands)
			lead := g.call(get())
			var wg sync.WaitGroup
			wg.Go(func() { g.do(context.Background(), lead) })
			synctest.Wait() // it is writing
			ks := p.calls(g)
			var settlers [2]keeper
			var stayed [2]bool
			for i, k := range ks {
				k.Settler = &settlers[i]
				ctx := context.Background()
				if leaves[i] {
					c, cancel := context.WithTimeout(ctx, time.Duration(at)*time.Millisecond)
					defer cancel()
					ctx = c
				}
				require.NoError(t, g.c.Start(ctx, k))
				require.Equal(t, i > 0, k.burst.joined)
				wg.Go(func() { stayed[i] = g.c.Wait(ctx, k) })
			}
			wg.Wait()
			require.Equal(t, "value of key", string(lead.Value), where)
			time.Sleep(time.Second) // nobody else reads: what is due is drained by itself
			require.Zero(t, g.c.Pending(), where)
			for i, k := range ks {
				settlers[i].mu.Lock()
				got := settlers[i].got
				settlers[i].mu.Unlock()
				if stayed[i] {
					require.Empty(t, got, where)
					require.NoError(t, k.Err, where)
				} else {
					left++
					require.True(t, leaves[i], where)
					require.Len(t, got, 1, where)
					k = got[0]
				}
				require.Equal(t, sharedTold[i], toldOf(k.Answers()), where)
			}
			next := g.call(get())
			require.True(t, g.do(context.Background(), next), where)
			require.Equal(t, "value of key", string(next.Value), where)
			g.close()
		})
	}
	require.Greater(t, left, 100, "most callers left")
}

// slowly takes requests and gives replies at one byte a millisecond: reply to the last of the commands
// behind the first call.
func (g *rig) slowly(reply string, commands int) {
	g.r = bufio.NewReader(slow{g.peer})
	g.wg.Go(func() {
		for i := 0; ; i++ {
			r, err := g.request()
			if err != nil {
				return
			}
			out := answer(r)
			switch {
			case i == commands:
				out = reply
			case i > 0 && i < commands:
				continue
			}
			for j := range len(out) {
				time.Sleep(time.Millisecond)
				if _, err := io.WriteString(g.peer, out[j:j+1]); err != nil {
					return
				}
			}
		}
	})
}

// Bursts that share a command and are not written when the connection dies have not been sent. Their calls are good for another
// connection, where they share nothing by themselves.
func TestJoinedBurstsNotYetWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, other := newRig(t), newRig(t)
		var wg sync.WaitGroup
		doomed := -1
		g.c.cfg.OnDoomed = func(_ *Conn, unanswered int) { doomed = unanswered }
		lead := g.call(get())
		wg.Go(func() { g.do(context.Background(), lead) })
		synctest.Wait() // it is writing, and nobody reads
		ks := []*Call{g.call(get()).asking(sharedKeys[0]), g.call(get()).asking(sharedKeys[1])}
		for _, k := range ks {
			require.NoError(t, g.c.Start(context.Background(), k))
		}
		g.c.Kill(item.ErrConnLost)
		wg.Wait()
		require.Equal(t, item.SentUnknown, lead.Sent)
		require.Equal(t, 1, doomed, "those that may have been sent")
		for _, k := range ks {
			require.True(t, g.c.Wait(context.Background(), k))
			require.ErrorIs(t, k.Err, item.ErrConnLost)
			require.Equal(t, item.NotSent, k.Sent)
			require.Nil(t, k.Answers())
			k.Free()
		}
		g.close()

		// A dead connection takes none; the very calls that it refused go elsewhere.
		second := g.call(get()).asking(sharedKeys[1])
		second.burst.joined, second.burst.proof = true, 1 // as if they had been queued before
		require.Error(t, g.c.Start(context.Background(), second))
		other.wg.Go(func() {
			for range 2 {
				if _, err := other.request(); err != nil {
					return
				}
			}
			io.WriteString(other.peer, "VALUE a 1 2\r\nva\r\nEND\r\nVA 2 f1 O1.2\r\nvd\r\n")
		})
		require.True(t, other.do(context.Background(), second))
		require.NoError(t, second.Err)
		require.Equal(t, sharedTold[1], toldOf(second.Answers()))
		other.close()
	})
}

// A burst counts as one call in flight, whether it shares a command or not; one too many is refused, and leaves nothing in the
// command of the others. Calls apart are neither refused nor counted.
func TestBurstsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.c.cfg.MaxInFlight = 2
		apart := g.call(get())
		apart.Apart = true
		var wg sync.WaitGroup
		wg.Go(func() { g.do(context.Background(), apart) })
		synctest.Wait()
		require.Zero(t, g.c.cfg.InFlight.Load())
		ks := []*Call{g.call(get()).asking(sharedKeys[0]), g.call(get()).asking(sharedKeys[1])}
		for _, k := range ks {
			require.NoError(t, g.c.Start(context.Background(), k))
		}
		many := g.call(get()).asking([]string{"x", "y", "z"})
		require.ErrorIs(t, g.c.Start(context.Background(), many), item.ErrBusy)
		require.EqualValues(t, 2, g.c.cfg.InFlight.Load())
		more := g.call(memproto.Request{Cmd: memproto.CmdMetaNoop})
		more.Apart = true
		require.NoError(t, g.c.Start(context.Background(), more), "its owner's own")
		require.EqualValues(t, 2, g.c.cfg.InFlight.Load())

		asked := make(chan string, 16)
		g.wg.Go(func() {
			for {
				line, err := g.r.ReadString('\n')
				if err != nil {
					close(asked)
					return
				}
				asked <- line
				switch words := strings.Fields(line); {
				case words[0] == "mn":
					io.WriteString(g.peer, "MN\r\n")
				case words[0] == "get":
					io.WriteString(g.peer, "END\r\n")
				default:
					io.WriteString(g.peer, "EN "+words[len(words)-1]+"\r\n")
				}
			}
		})
		for _, k := range append(ks, more) {
			require.True(t, g.c.Wait(context.Background(), k))
			require.NoError(t, k.Err)
		}
		wg.Wait()
		require.Zero(t, g.c.cfg.InFlight.Load())
		apart.Free()
		more.Free()

		require.True(t, g.do(context.Background(), many), "it is as good as new")
		require.NoError(t, many.Err)
		require.Len(t, many.Answers(), 3)
		require.Zero(t, g.c.cfg.InFlight.Load())
		again := g.call(get()) // perhaps in the memory of one that was apart
		require.False(t, again.Apart)
		g.close()
		var gets []string
		for line := range asked {
			if strings.HasPrefix(line, "get ") {
				gets = append(gets, line)
			}
		}
		require.Equal(t, []string{"get a b c b a\r\n", "get x y\r\n"}, gets)
	})
}
