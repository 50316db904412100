package pipe

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

func lease() memproto.Request {
	return memproto.Request{Cmd: memproto.CmdMetaGet, Flags: memproto.FlagLv | memproto.FlagLf | memproto.FlagLc | memproto.FlagN, Vivify: 10}
}

// classicKinds are the replies of a server that takes classic commands only.
var classicKinds = []struct {
	name  string
	req   memproto.Request
	reply string
	check func(t *testing.T, k *Call)
	text  bool // a byte too many in it can't be told from a true one
}{
	{"hit", get(), "VALUE key 7 5\r\nhello\r\nEND\r\n", func(t *testing.T, k *Call) {
		require.Equal(t, memproto.StatusVA, k.Resp.Status)
		require.Equal(t, "hello", string(k.Value))
		require.EqualValues(t, 7, k.Resp.ClientFlags)
		require.Zero(t, k.Resp.TTL)
	}, false},
	{"a value like a reply", get(), "VALUE key 7 5\r\nEND\r\n\r\nEND\r\n", func(t *testing.T, k *Call) { require.Equal(t, "END\r\n", string(k.Value)) }, false},
	{"empty value", get(), "VALUE key 1 0\r\n\r\nEND\r\n", func(t *testing.T, k *Call) { require.Empty(t, k.Value) }, false},
	{"miss", get(), "END\r\n", status(memproto.StatusEN), false},
	{"won", lease(), "STORED\r\nVALUE key 0 0 55\r\n\r\nEND\r\n", func(t *testing.T, k *Call) {
		require.True(t, k.Resp.Flags.Has(memproto.FlagW))
		require.EqualValues(t, 55, k.Resp.CAS)
	}, false},
	{"lost", lease(), "NOT_STORED\r\nVALUE key 0 0 55\r\n\r\nEND\r\n", func(t *testing.T, k *Call) {
		require.True(t, k.Resp.Flags.Has(memproto.FlagZ))
		require.False(t, k.Resp.Flags.Has(memproto.FlagW))
	}, false},
	{"no stub", lease(), "SERVER_ERROR out of memory storing object\r\nEND\r\n", status(memproto.StatusServerError), true},
	{"stored", memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}, "STORED\r\nVERSION 1.5.16\r\n", status(memproto.StatusHD), true},
	{"not stored", memproto.Request{Cmd: memproto.CmdMetaSet, Flags: memproto.FlagM, Mode: 'E'}, "NOT_STORED\r\nVERSION 1.5.16\r\n", status(memproto.StatusNS), true},
	{"exists", memproto.Request{Cmd: memproto.CmdMetaSet, Flags: memproto.FlagC, CAS: 5}, "EXISTS\r\nVERSION 1.5.16\r\n", status(memproto.StatusEX), true},
	{"too large", memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}, "SERVER_ERROR object too large for cache\r\nVERSION 1.5.16\r\n", status(memproto.StatusServerError), true},
	{"deleted", memproto.Request{Cmd: memproto.CmdMetaDelete}, "DELETED\r\n", status(memproto.StatusHD), false},
	{"not found", memproto.Request{Cmd: memproto.CmdMetaDelete}, "NOT_FOUND\r\n", status(memproto.StatusNF), false},
	{"number", memproto.Request{Cmd: memproto.CmdMetaArith, Flags: memproto.FlagLv, Delta: 1}, "42\r\nVERSION 1.5.16\r\n",
		func(t *testing.T, k *Call) { require.Equal(t, "42", string(k.Value)) }, true},
	{"noop", memproto.Request{Cmd: memproto.CmdMetaNoop}, "VERSION 1.5.16\r\n", status(memproto.StatusMN), true},
}

func TestCutClassicReplies(t *testing.T) {
	for _, fault := range []string{"close", "reset", "stall", "garbage", "twice", "byte by byte"} {
		t.Run(fault, func(t *testing.T) {
			cells := 0
			for _, kind := range classicKinds {
				for at := 0; at <= len(kind.reply); at++ {
					if fault == "garbage" && kind.text {
						continue
					}
					cells++
					synctest.Test(t, func(t *testing.T) {
						cut(newClassicRig(t), kind.req, nil, kind.reply, kind.check, fault, at)
					})
				}
			}
			require.Greater(t, cells, 100)
		})
	}
}

// commands reads n commands at the peer.
func (g *rig) commands(n int) error {
	for range n {
		if _, err := g.request(); err != nil {
			return err
		}
	}
	return nil
}

// A reply that does not fit kills the connection, and nobody gets a wrong value.
func TestClassicMisfits(t *testing.T) {
	for name, reply := range map[string]string{
		"another key":            "VALUE kay 7 5\r\nhello\r\nEND\r\n",
		"a longer key":           "VALUE keyy 7 5\r\nhello\r\nEND\r\n",
		"no key":                 "VALUE  7 5\r\nhello\r\nEND\r\n",
		"a CAS nobody asked for": "VALUE key 7 5 9\r\nhello\r\nEND\r\n",
		"another value":          "VALUE key 7 5\r\nhello\r\nVALUE key 7 5\r\nhello\r\nEND\r\n",
		"a value without end":    "VALUE key 7 5\r\nhello\r\nSTORED\r\n",
		"too short a value":      "VALUE key 7 5\r\nhell\r\nEND\r\n",
		"too long a value":       "VALUE key 7 5\r\nhelloo\r\nEND\r\n",
		"a meta reply":           "VA 5 f7 O1\r\nhello\r\n",
		"a set's reply":          "STORED\r\n",
		"ERROR":                  "ERROR\r\n",
		"SERVER_ERROR":           "SERVER_ERROR out of memory writing get response\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newClassicRig(t)
				g.wg.Go(func() {
					if g.commands(1) == nil {
						io.WriteString(g.peer, reply)
						io.Copy(io.Discard, g.r)
					}
				})
				k := g.call(get())
				require.True(t, g.do(context.Background(), k))
				require.Error(t, k.Err)
				require.Equal(t, item.SentUnknown, k.Sent)
				require.True(t, g.c.Dead())
				g.close()
			})
		})
	}
}

// textAnswer is what a server of those days says to a command, whose value tells its key.
func textAnswer(r memproto.Request) string {
	switch r.Cmd {
	case memproto.CmdSet:
		return "STORED\r\n"
	case memproto.CmdVersion:
		return "VERSION 1.5.16\r\n"
	}
	value := "value of " + string(r.Key)
	return fmt.Sprintf("VALUE %s 1 %d\r\n%s\r\nEND\r\n", r.Key, len(value), value)
}

// Refused sets at depth: each fails itself only, and the connection lives.
func TestAClassicRefusedSetFailsItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newClassicRig(t)
		const n = 256
		g.wg.Go(func() {
			for i := range n {
				for range 2 {
					r, err := g.request()
					if err != nil {
						return
					}
					reply := textAnswer(r)
					if i%100 == 50 && r.Cmd == memproto.CmdSet {
						reply = refusal
					}
					io.WriteString(g.peer, reply)
				}
			}
		})
		setsOfWhichSomeAreRefused(t, g, n)
	})
}

// Whatever the peer does to one of many pipelined replies, no reader gets another's
// value, no writer another's confirmation, and the connection dies. Only a stray END,
// which proves nothing, may pass for one miss.
func TestClassicRepliesOutOfStep(t *testing.T) {
	for name, spoil := range map[string]func(replies []string) []string{
		"a stray STORED":       func(r []string) []string { return insert(r, 10, "STORED\r\n") },
		"a stray VERSION":      func(r []string) []string { return insert(r, 10, "VERSION 1.5.16\r\n") },
		"a stray SERVER_ERROR": func(r []string) []string { return insert(r, 10, "SERVER_ERROR out of memory\r\n") },
		"a stray END":          func(r []string) []string { return insert(r, 9, "END\r\n") },
		"a reply twice":        func(r []string) []string { return insert(r, 10, r[9]) },
		"a confirmation twice": func(r []string) []string { return insert(r, 11, r[10]) },
		"one missing":          func(r []string) []string { return append(r[:10:10], r[11:]...) },
		"two swapped":          func(r []string) []string { r[9], r[12] = r[12], r[9]; return r },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newClassicRig(t)
				const n = 20 // by turns a get, one command, and a set, two
				g.wg.Go(func() {
					var replies []string
					for range 3 * n / 2 {
						r, err := g.request()
						if err != nil {
							return
						}
						replies = append(replies, textAnswer(r))
					}
					io.WriteString(g.peer, strings.Join(spoil(replies), ""))
				})
				ks := make([]*Call, n)
				for i := range ks {
					ks[i] = g.call(get())
					if i%2 == 1 {
						ks[i].Req = memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}
					}
					ks[i].Req.Key = fmt.Append(nil, "k", i)
				}
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				misses, failed := 0, 0
				for i, k := range ks {
					require.True(t, g.c.Wait(context.Background(), k))
					switch {
					case k.Err != nil:
						failed++
						require.Equal(t, item.SentUnknown, k.Sent)
					case k.Resp.Status == memproto.StatusEN:
						misses++
					case i%2 == 0:
						require.Equal(t, fmt.Sprint("value of k", i), string(k.Value))
					}
				}
				if name == "a stray END" {
					require.Equal(t, 1, misses)
				} else {
					require.Zero(t, misses)
				}
				require.GreaterOrEqual(t, failed, n/2)
				require.True(t, g.c.Dead())
				g.close()
			})
		})
	}
}

func insert(r []string, at int, s string) []string {
	return append(r[:at:at], append([]string{s}, r[at:]...)...)
}

// A win whose caller has left is known to the Settler, and the connection goes on.
func TestAClassicWinThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newClassicRig(t)
		g.wg.Go(func() {
			if g.commands(2) != nil {
				return
			}
			io.WriteString(g.peer, "STORED\r\n")
			time.Sleep(rigTimeout / 2) // virtual: the caller leaves between the two replies
			io.WriteString(g.peer, "VALUE key 0 0 9\r\n\r\nEND\r\n")
			if g.commands(1) == nil {
				io.WriteString(g.peer, textAnswer(memproto.Request{Key: []byte("key")}))
			}
		})
		ctx, cancel := context.WithTimeout(context.Background(), rigTimeout/4)
		defer cancel()
		late := make(chan Reply, 1)
		k := g.call(lease())
		k.Settler = told(func(k *Call) { late <- k.Resp })
		require.False(t, g.do(ctx, k))
		r := <-late
		require.True(t, r.Flags.Has(memproto.FlagW))
		require.EqualValues(t, 9, r.CAS)
		next := g.call(get())
		require.True(t, g.do(context.Background(), next))
		require.NoError(t, next.Err)
		require.Equal(t, "value of key", string(next.Value))
		g.close()
	})
}

type told func(k *Call)

func (f told) Settle(_ *Conn, k *Call) { f(k) }
