package pipe

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// replyKinds are the replies that are cut: the opaque of a connection's first call is 1.
var replyKinds = []struct {
	name  string
	req   memproto.Request
	reply string
	check func(t *testing.T, k *Call)
	// text: a byte too many in it can't be told from a true one.
	text bool
	asks []string // of a burst: its keys
}{
	{"hit", get(), "VA 5 f7 t-1 O1\r\nhello\r\n", func(t *testing.T, k *Call) {
		require.Equal(t, "hello", string(k.Value))
		require.EqualValues(t, 7, k.Resp.ClientFlags)
	}, false, nil},
	{"empty value", get(), "VA 0 f1 O1\r\n\r\n", func(t *testing.T, k *Call) { require.Empty(t, k.Value) }, false, nil},
	{"miss", get(), "EN O1\r\n", status(memproto.StatusEN), false, nil},
	{"hit without value", memproto.Request{Cmd: memproto.CmdMetaGet, Flags: memproto.FlagLc}, "HD c55 O1\r\n",
		func(t *testing.T, k *Call) { require.EqualValues(t, 55, k.Resp.CAS) }, false, nil},
	{"stored", memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}, "HD O1\r\n", status(memproto.StatusHD), false, nil},
	{"not stored", memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}, "NS O1\r\n", status(memproto.StatusNS), false, nil},
	{"exists", memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}, "EX O1\r\n", status(memproto.StatusEX), false, nil},
	{"too large", memproto.Request{Cmd: memproto.CmdMetaSet, Value: []byte("v")}, "SERVER_ERROR object too large for cache\r\n", status(memproto.StatusServerError), true, nil},
	{"deleted", memproto.Request{Cmd: memproto.CmdMetaDelete}, "HD O1\r\n", status(memproto.StatusHD), false, nil},
	{"not found", memproto.Request{Cmd: memproto.CmdMetaDelete}, "NF O1\r\n", status(memproto.StatusNF), false, nil},
	{"number", memproto.Request{Cmd: memproto.CmdMetaArith, Flags: memproto.FlagLv}, "VA 2 O1\r\n42\r\n",
		func(t *testing.T, k *Call) { require.Equal(t, "42", string(k.Value)) }, false, nil},
	{"noop", memproto.Request{Cmd: memproto.CmdMetaNoop}, "MN\r\n", status(memproto.StatusMN), false, nil},
	{"version", memproto.Request{Cmd: memproto.CmdVersion}, "VERSION 1.6.18\r\n", func(t *testing.T, k *Call) { require.Equal(t, "1.6.18", k.Text) }, true, nil},
	{"stats", memproto.Request{Cmd: memproto.CmdStats}, "STAT a 1\r\nSTAT b 2\r\nEND\r\n",
		func(t *testing.T, k *Call) { require.Equal(t, []string{"a", "1", "b", "2"}, k.Stats) }, true, nil},
	{"many", get(), "VALUE a 7 5\r\nhello\r\nVALUE c 0 2\r\nhi\r\nEND\r\nVA 1 f3 t-1 O1.3\r\nx\r\n", func(t *testing.T, k *Call) {
		require.Len(t, k.Answers(), 4)
		require.Equal(t, "VA 7 hello, EN 0 , VA 0 hi, VA 3 x", toldOf(k.Answers()))
	}, false, []string{"a", "b", "c", "d"}},
	{"many misses", get(), "END\r\nEN O1.2\r\n", func(t *testing.T, k *Call) {
		require.Equal(t, "EN 0 , EN 0 , EN 0 ", toldOf(k.Answers()))
	}, false, []string{"a", "b", "c"}},
	{"one of many", get(), "VA 2 f9 t5 O1.0\r\nhi\r\n", func(t *testing.T, k *Call) {
		require.Equal(t, "VA 9 hi", toldOf(k.Answers()))
	}, false, []string{"a"}},
}

// toldOf is a burst's answers in short.
func toldOf(answers []Answer) string {
	var all []string
	for _, a := range answers {
		all = append(all, fmt.Sprintf("%s %d %s", a.Resp.Status, a.Resp.ClientFlags, a.Value))
	}
	return strings.Join(all, ", ")
}

// asking makes k a burst of the keys, if there are any.
func (k *Call) asking(keys []string) *Call {
	for _, key := range keys {
		k.Ask(key)
	}
	return k
}

// proving is asking, but that the last key is asked for with a meta get whoever shares the others' command: k proves itself.
func (k *Call) proving(keys []string) *Call {
	k.asking(keys[:len(keys)-1])
	k.AskMeta(keys[len(keys)-1], func(r *memproto.Request, key string) { r.Key = []byte(key) })
	return k
}

// wire is how many bytes and how many commands a burst of the keys is, or, without
// keys, req.
func wire(req memproto.Request, keys []string) (bytes, commands int) {
	req.Key, req.Opaque = []byte("key"), []byte("1")
	if keys == nil {
		return len(req.Append(nil)), 1
	}
	b := burst{keys: keys}
	b.encode(&req, req.Opaque, 0)
	return len(b.line), strings.Count(string(b.line), "\n")
}

func status(s memproto.Status) func(*testing.T, *Call) {
	return func(t *testing.T, k *Call) { require.Equal(t, s, k.Resp.Status) }
}

// Every kind of reply is cut at every byte, in every way: the caller gets its own
// reply, whole, or an error, and is never left waiting.
func TestCutReplies(t *testing.T) {
	for _, fault := range []string{"close", "reset", "stall", "garbage", "twice", "byte by byte"} {
		t.Run(fault, func(t *testing.T) {
			cells := 0
			for _, kind := range replyKinds {
				for at := 0; at <= len(kind.reply); at++ {
					if fault == "garbage" && kind.text {
						continue
					}
					cells++
					synctest.Test(t, func(t *testing.T) { cut(newRig(t), kind.req, kind.asks, kind.reply, kind.check, fault, at) })
				}
			}
			require.Greater(t, cells, 100)
		})
	}
}

func cut(g *rig, req memproto.Request, asks []string, reply string, check func(*testing.T, *Call), fault string, at int) {
	t := g.t
	defer g.close()
	where := fmt.Sprintf("%s of %q at %d", fault, reply, at)
	g.wg.Go(func() {
		if _, err := g.request(); err != nil {
			return
		}
		g.spoil(reply, fault, at)
		// Whatever else the client sends is read and not answered.
		io.Copy(io.Discard, g.r)
	})
	start := time.Now()
	k := g.call(req).asking(asks)
	require.True(t, g.do(context.Background(), k), where)
	require.LessOrEqual(t, time.Since(start), rigTimeout, "%s: overdue means overdue", where)
	whole := fault == "byte by byte" || fault == "twice" || at == len(reply)
	if whole {
		require.NoError(t, k.Err, where)
	}
	if !whole {
		switch fault {
		case "stall":
			require.ErrorIs(t, k.Err, item.ErrTimeout, where)
			require.Equal(t, rigTimeout, time.Since(start), where)
		case "reset":
			require.ErrorIs(t, k.Err, syscall.ECONNRESET, where)
			require.ErrorIs(t, k.Err, item.ErrConnLost, where)
		case "close":
			require.ErrorIs(t, k.Err, item.ErrConnLost, where)
		}
	}
	if k.Err == nil {
		require.True(t, whole, "%s: a reply that was not whole was accepted", where)
		check(t, k)
	} else {
		require.Equal(t, item.SentUnknown, k.Sent, where)
		require.Empty(t, k.Answers(), where)
	}
	k.Free()

	// The next caller gets an error, or nothing before its time: never what is left.
	next := g.call(get())
	require.True(t, g.do(context.Background(), next), where)
	require.Error(t, next.Err, where)
	next.Free()
}

// spoil sends reply with something the matter after so many bytes.
func (g *rig) spoil(reply, fault string, at int) {
	say := func(s string) {
		if s != "" { // an empty write would come as an empty read
			io.WriteString(g.peer, s)
		}
	}
	switch fault {
	case "close", "reset":
		g.reset.Store(fault == "reset")
		say(reply[:at])
		g.peer.Close()
	case "stall":
		say(reply[:at])
	case "garbage":
		say(reply[:at] + "#" + reply[at:])
	case "error":
		say(reply[:at] + "SERVER_ERROR out of memory writing get response\r\n" + reply[at:])
	case "twice":
		say(reply + reply[:at])
	case "byte by byte":
		for i := range len(reply) {
			if i == at {
				time.Sleep(time.Millisecond)
			}
			say(reply[i : i+1])
		}
	}
}
