package pipe

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/memproto"
)

// Two bursts share a command, and one of the replies is out of step: no key gets another's value, no burst believes anything
// before its token has come, its own or that of the one behind, and the connection dies.
func TestJoinedBurstsOutOfStep(t *testing.T) {
	keys := []string{"a", "b", "c", "d"}
	value := func(key string) string { return "VALUE " + key + " 1 2\r\nv" + key + "\r\n" }
	for name, spoil := range map[string]func(r []string) []string{
		"stray value":           func(r []string) []string { return slices.Insert(r, 1, value("x")) },
		"doubled value":         func(r []string) []string { return slices.Insert(r, 1, r[0]) },
		"doubled last value":    func(r []string) []string { return slices.Insert(r, 6, r[5]) },
		"swapped values":        func(r []string) []string { r[4], r[5] = r[5], r[4]; return r },
		"late value":            func(r []string) []string { r[5], r[6] = r[6], r[5]; return r },
		"no end":                func(r []string) []string { return slices.Delete(r, 6, 7) },
		"two ends":              func(r []string) []string { return slices.Insert(r, 6, r[6]) },
		"an end for each":       func(r []string) []string { return slices.Insert(r, 3, r[6]) },
		"doubled command":       func(r []string) []string { return slices.Concat(r[:7], r) },
		"lost command":          func(r []string) []string { return r[7:] },
		"lost token":            func(r []string) []string { return slices.Delete(r, 7, 8) },
		"swapped tokens":        func(r []string) []string { r[7], r[8] = r[8], r[7]; return r },
		"first token too early": func(r []string) []string { r[3], r[7] = r[7], r[3]; return r },
		"error":                 func(r []string) []string { r[4] = "SERVER_ERROR out of memory writing get response\r\n"; return r },
	} {
		t.Run("each with its proof/"+name, func(t *testing.T) {
			inPieces(t, func(t *testing.T, pieces func([]string) []string) {
				g := newRig(t)
				g.replies(3, pieces(spoil([]string{ // to the command, and two meta gets
					value("a"), value("b"), value("c"), value("a"), value("b"), value("c"),
					"END\r\n", "VA 2 f1 O1.3\r\nvd\r\n", "VA 2 f1 O2.3\r\nvd\r\n",
				})))
				ks := []*Call{g.call(get()).proving(keys), g.call(get()).asking(keys)}
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				g.outOfStep(ks, errOf(name))
			})
		})
	}
	for name, spoil := range map[string]func(r []string) []string{
		"stray value":                   func(r []string) []string { return slices.Insert(r, 1, value("x")) },
		"doubled last value of first":   func(r []string) []string { return slices.Insert(r, 3, r[3]) },
		"doubled last value":            func(r []string) []string { return slices.Insert(r, 7, r[6]) },
		"swapped values":                func(r []string) []string { r[5], r[6] = r[6], r[5]; return r },
		"late value":                    func(r []string) []string { r[6], r[7] = r[7], r[6]; return r },
		"no end":                        func(r []string) []string { return slices.Delete(r, 7, 8) },
		"two ends":                      func(r []string) []string { return slices.Insert(r, 7, r[7]) },
		"an end for each":               func(r []string) []string { return slices.Insert(r, 4, r[7]) },
		"doubled command":               func(r []string) []string { return slices.Concat(r[:8], r) },
		"lost command":                  func(r []string) []string { return r[8:] },
		"another call's token":          func(r []string) []string { r[8] = "VA 2 f1 O3.3\r\nvd\r\n"; return r },
		"the token that was spared":     func(r []string) []string { r[8] = "VA 2 f1 O1.3\r\nvd\r\n"; return r },
		"the spared token, and its own": func(r []string) []string { return slices.Insert(r, 8, "VA 2 f1 O1.3\r\nvd\r\n") },
		"no token":                      func(r []string) []string { r[8] = "VA 2 f1\r\nvd\r\n"; return r },
		"token too early":               func(r []string) []string { r[4], r[8] = r[8], r[4]; return r },
		"error":                         func(r []string) []string { r[4] = "SERVER_ERROR out of memory writing get response\r\n"; return r },
	} {
		t.Run("with one proof/"+name, func(t *testing.T) {
			inPieces(t, func(t *testing.T, pieces func([]string) []string) {
				g := newRig(t)
				g.replies(2, pieces(spoil([]string{ // to the command, and the meta get
					value("a"), value("b"), value("c"), value("d"), value("a"), value("b"), value("c"),
					"END\r\n", "VA 2 f1 O2.3\r\nvd\r\n",
				})))
				ks := []*Call{g.call(get()).asking(keys), g.call(get()).asking(keys)}
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				g.outOfStep(ks, errOf(name))
			})
		})
	}
}

// Three bursts share a command; who has the proof is told by the sharers' meta gets. All is well, and each is complete as soon as
// the meta gets that prove it have been answered.
func TestWhoProvesJoinedBursts(t *testing.T) {
	keys := []string{"a", "b"}
	const list = "VALUE a 1 2\r\nva\r\nVALUE b 1 2\r\nvb\r\n"
	value, token := list[:len(list)/2], func(call int) string { return fmt.Sprintf("VA 2 f1 O%d.1\r\nvb\r\n", call) }
	for name, test := range map[string]struct {
		proves [3]bool
		reply  []string // behind each, one call or more are complete
		done   []int    // how many, behind each
	}{
		"the last all":             {[3]bool{}, []string{list + list + value + "END\r\n", token(3)}, []int{0, 3}},
		"the middle one the first": {[3]bool{false, true, false}, []string{list + value + value + "END\r\n", token(2), token(3)}, []int{0, 2, 3}},
		"the first itself":         {[3]bool{true, false, false}, []string{value + list + value + "END\r\n", token(1), token(3)}, []int{0, 1, 3}},
		"everybody":                {[3]bool{true, true, true}, []string{value + value + value + "END\r\n", token(1), token(2), token(3)}, []int{0, 1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				var ks []*Call
				for _, proves := range test.proves {
					k := g.call(get())
					if proves {
						ks = append(ks, k.proving(keys))
					} else {
						ks = append(ks, k.asking(keys))
					}
				}
				more := make(chan struct{})
				g.wg.Go(func() {
					for range len(test.reply) { // the command, and the meta gets
						if _, err := g.request(); err != nil {
							return
						}
					}
					for _, s := range test.reply {
						if _, err := io.WriteString(g.peer, s); err != nil {
							return
						}
						<-more
					}
				})
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				var wg sync.WaitGroup
				for _, k := range ks {
					wg.Go(func() { g.c.Wait(context.Background(), k) })
				}
				for _, done := range test.done {
					synctest.Wait()
					for i, k := range ks {
						require.Equal(t, i < done, k.state.Load() == stateDone, "call %d of %d", i, done)
					}
					more <- struct{}{}
				}
				wg.Wait()
				for _, k := range ks {
					require.NoError(t, k.Err)
					require.Equal(t, "VA 1 va, VA 1 vb", toldOf(k.Answers()))
				}
				require.False(t, g.c.Dead())
				g.close()
			})
		})
	}
}

// A burst has the last one's proof as soon as that one's first meta get is answered: it does not wait for what else the last one asks
// for, and lives on if that never comes.
func TestTheFirstMetaGetProvesJoinedBursts(t *testing.T) {
	for _, fault := range []string{"", "another call's token", "close"} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				const list, first = "VALUE a 1 2\r\nva\r\nVALUE b 1 2\r\nvb\r\nVALUE b 1 2\r\nvb\r\nVALUE a 1 2\r\nva\r\nEND\r\n", "VA 2 f1 O3.1\r\nvb\r\n"
				more := make(chan string)
				g.wg.Go(func() {
					for range 3 { // the command, and two meta gets
						if _, err := g.request(); err != nil {
							return
						}
					}
					for s := range more {
						if s == "" {
							g.peer.Close()
							return
						}
						io.WriteString(g.peer, s)
					}
				})
				last := g.call(get())
				last.Ask("a")
				for _, key := range []string{"b", "c"} {
					last.AskMeta(key, func(r *memproto.Request, key string) { r.Key = []byte(key) })
				}
				ks := []*Call{g.call(get()).asking([]string{"a", "b"}), g.call(get()).asking([]string{"b", "x"}), last}
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				var wg sync.WaitGroup
				for _, k := range ks {
					wg.Go(func() { g.c.Wait(context.Background(), k) })
				}
				done := func(want ...bool) {
					synctest.Wait()
					for i, k := range ks {
						require.Equal(t, want[i], k.state.Load() == stateDone, "call %d", i)
					}
				}
				more <- list + first[:len(first)-1]
				done(false, false, false)
				more <- first[len(first)-1:]
				done(true, true, false)
				more <- map[string]string{"": "VA 2 f1 O3.2\r\nvc\r\n", "another call's token": "VA 2 f1 O2.1\r\nvx\r\n"}[fault]
				done(true, true, true)
				wg.Wait()
				close(more)
				require.NoError(t, ks[0].Err)
				require.NoError(t, ks[1].Err)
				require.Equal(t, "VA 1 va, VA 1 vb", toldOf(ks[0].Answers()))
				require.Equal(t, "VA 1 vb, EN 0 ", toldOf(ks[1].Answers()))
				if fault == "" {
					require.NoError(t, last.Err)
					require.Equal(t, "VA 1 va, VA 1 vb, VA 1 vc", toldOf(last.Answers()))
				} else {
					require.Error(t, last.Err)
					require.Empty(t, last.Answers())
				}
				g.close()
			})
		})
	}
}
