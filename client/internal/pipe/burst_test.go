package pipe

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// What goes out for a burst, read back by the server's parser: every key exactly once, in order,
// in commands that are no special case for memcached.
func TestBurstRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[!-~]{1,250}`), 1, 60, rapid.ID[string]).Draw(t, "keys")
		metas := rapid.IntRange(0, len(keys)).Draw(t, "metas")
		var calls Pool
		k := calls.New()
		for i, key := range keys {
			if i < len(keys)-metas {
				k.Ask(key)
			} else {
				k.AskMeta(key, func(r *memproto.Request, key string) { r.Key = []byte(key) })
			}
		}
		require.Equal(t, keys, k.Asked())
		like := get()
		like.Flags |= memproto.FlagO
		few := rapid.IntRange(0, 30).Draw(t, "few")
		k.burst.encode(&like, []byte("zz"), few)
		var got []string
		tokens := map[string]bool{}
		for rest := k.burst.line; len(rest) > 0; {
			var r memproto.Request
			n, err := memproto.DecodeRequest(rest, nil, &r)
			require.NoError(t, err)
			if r.Cmd == memproto.CmdGet {
				require.LessOrEqual(t, n, 2048)
				require.Empty(t, tokens, "classic commands come first")
				got = append(got, strings.Fields(string(rest[:n]))[1:]...)
			} else {
				require.Equal(t, memproto.CmdMetaGet, r.Cmd)
				require.Equal(t, like.Flags, r.Flags)
				got = append(got, string(r.Key))
				tokens[string(r.Opaque)] = true
			}
			rest = rest[n:]
		}
		require.Equal(t, keys, got)
		if len(keys) <= few {
			metas = len(keys)
		}
		require.Len(t, tokens, max(metas, 1), "each meta get has a token of its own")
		k.Free()
	})
}

// A lone caller's burst of few keys is meta gets alone. One of more keys is not, nor is one that others may share a command with.
func TestALoneBurstOfFewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.c.few = fewKeys
		gets := make(chan int, 10) // keys asked for by classic gets, at each noop
		g.wg.Go(func() {
			classic := 0
			for {
				line, err := g.r.ReadString('\n')
				if err != nil {
					close(gets)
					return
				}
				switch words := strings.Fields(line); words[0] {
				case "get":
					classic += len(words) - 1
					io.WriteString(g.peer, "END\r\n")
				case "mg":
					io.WriteString(g.peer, "EN "+words[len(words)-1]+"\r\n")
				default:
					gets <- classic
					classic = 0
					io.WriteString(g.peer, "MN\r\n")
				}
			}
		})
		var keys []string
		for i := range fewKeys + 1 {
			keys = append(keys, fmt.Sprint("k", i))
		}
		ask := func(calls ...*Call) int {
			for _, k := range append(calls, g.call(memproto.Request{Cmd: memproto.CmdMetaNoop})) {
				require.NoError(t, g.c.Start(context.Background(), k))
			}
			for _, k := range calls {
				require.True(t, g.c.Wait(context.Background(), k))
				require.NoError(t, k.Err)
				require.Len(t, k.Answers(), len(k.Asked()))
			}
			return <-gets
		}
		require.Zero(t, ask(g.call(get()).asking(keys[:fewKeys])))
		synctest.Wait()
		require.Equal(t, fewKeys, ask(g.call(get()).asking(keys)))
		synctest.Wait()
		for range 2 { // the first of the second pair has met company
			ask(g.call(get()).asking(keys[:5]), g.call(get()).asking(keys[:5]))
		}
		require.Equal(t, 8, ask(g.call(get()).asking(keys[:5]), g.call(get()).asking(keys[:5])))
		g.close()
	})
}

// Replies that are out of step, for a burst with a second one behind it: no key gets
// another's value, no value is believed before the last token has come, and the
// connection dies.
func TestBurstsOutOfStep(t *testing.T) {
	keys := []string{"a", "b", "c", "d"}
	whole := func(n int) []string {
		return []string{"VALUE a 1 2\r\nva\r\n", "VALUE b 1 2\r\nvb\r\n", "VALUE c 1 2\r\nvc\r\n", "END\r\n", fmt.Sprintf("VA 2 f1 O%d.3\r\nvd\r\n", n)}
	}
	for name, spoil := range map[string]func(r []string) []string{
		"stray value":      func(r []string) []string { return slices.Insert(r, 1, "VALUE x 1 2\r\nvx\r\n") },
		"doubled value":    func(r []string) []string { return slices.Insert(r, 1, r[0]) },
		"swapped values":   func(r []string) []string { r[0], r[1] = r[1], r[0]; return r },
		"no line end":      func(r []string) []string { r[1] = "VALUE b 1 2\r\nvbxx"; return r },
		"late value":       func(r []string) []string { r[2], r[3] = r[3], r[2]; return r },
		"no end":           func(r []string) []string { return slices.Delete(r, 3, 4) },
		"two ends":         func(r []string) []string { return slices.Insert(r, 3, r[3]) },
		"doubled command":  func(r []string) []string { return slices.Concat(r[:4], r) },
		"lost command":     func(r []string) []string { return r[4:] },
		"other's last":     func(r []string) []string { r[4] = "VA 2 f1 O9.3\r\nvd\r\n"; return r },
		"other position":   func(r []string) []string { r[4] = "VA 2 f1 O1.2\r\nvd\r\n"; return r },
		"last without":     func(r []string) []string { r[4] = "VA 2 f1\r\nvd\r\n"; return r },
		"last too early":   func(r []string) []string { r[1], r[4] = r[4], r[1]; return r },
		"meta for classic": func(r []string) []string { r[0] = "VA 2 f1 O1.0\r\nva\r\n"; return r },
		"error":            func(r []string) []string { r[1] = "SERVER_ERROR out of memory writing get response\r\n"; return r },
		"doubled burst":    func(r []string) []string { return slices.Concat(r, r) },
		"the second only":  func([]string) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inPieces(t, func(t *testing.T, pieces func([]string) []string) {
				g := newRig(t)
				g.replies(4, pieces(slices.Concat(spoil(whole(1)), whole(2))))
				ks := []*Call{g.call(get()).asking(keys), g.call(get()).asking(keys)}
				for _, k := range ks { // one after the other is out: they share nothing
					require.NoError(t, g.c.Start(context.Background(), k))
				}
				g.outOfStep(ks, errOf(name))
			})
		})
	}
}

// inPieces runs test with what a peer sends as it stands, and with all of it in one piece, as a busy reader finds it.
func inPieces(t *testing.T, test func(t *testing.T, pieces func([]string) []string)) {
	t.Run("in pieces", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, func(all []string) []string { return all }) })
	})
	t.Run("in one piece", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, func(all []string) []string { return []string{strings.Join(all, "")} }) })
	})
}

// outOfStep waits for bursts of a to d, one of which has met a reply out of step: each has all its values or fails with
// want, and the connection is dead.
func (g *rig) outOfStep(ks []*Call, want error) {
	failed := 0
	for _, k := range ks {
		require.True(g.t, g.c.Wait(context.Background(), k))
		if k.Err != nil {
			require.ErrorIs(g.t, k.Err, want)
			require.Empty(g.t, k.Answers())
			failed++
			continue
		}
		require.Equal(g.t, "VA 1 va, VA 1 vb, VA 1 vc, VA 1 vd", toldOf(k.Answers()))
	}
	require.Positive(g.t, failed)
	require.True(g.t, g.c.Dead())
	g.close()
}

func errOf(name string) error {
	if name == "error" {
		return item.ErrServer
	}
	return item.ErrDesync
}

// A burst whose values take longer than the timeout to come, but come one after the other,
// is not overdue.
func TestALongBurstIsNotOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		const n = 40
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
			io.WriteString(g.peer, "END\r\n")
			time.Sleep(rigTimeout / 10)
			io.WriteString(g.peer, "VA 1 f1 O1."+strconv.FormatInt(n-1, 36)+"\r\nv\r\n")
		})
		start := time.Now()
		k := g.call(get()).asking(keys)
		require.True(t, g.do(context.Background(), k))
		require.NoError(t, k.Err)
		require.Equal(t, n*rigTimeout/10, time.Since(start))
		require.Equal(t, strings.Repeat("VA 1 v, ", n-1)+"VA 1 v", toldOf(k.Answers()))
		g.close()
	})
}

func TestNoBurstInClassicWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newClassicRig(t)
		k := g.call(get()).asking([]string{"a"})
		require.ErrorIs(t, g.c.Start(t.Context(), k), ErrNoBurst)
		k.Free()
		require.False(t, g.c.Post(g.call(get()).asking([]string{"a"})))
		require.Zero(t, g.c.Pending())
		g.close()
	})
}
