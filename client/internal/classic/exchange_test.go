package classic

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/memproto"
)

const (
	mg = memproto.CmdMetaGet
	ms = memproto.CmdMetaSet
	md = memproto.CmdMetaDelete
	ma = memproto.CmdMetaArith

	v = memproto.FlagLv
	f = memproto.FlagLf
	c = memproto.FlagLc
	s = memproto.FlagLs
)

// dialogues are requests, what is sent for them, and which meta reply the classic ones
// become: its line, and what value it has.
var dialogues = []struct {
	name  string
	req   memproto.Request
	sent  string
	reply string
	want  string
}{
	{"hit", memproto.Request{Cmd: mg, Flags: v | f | memproto.FlagLt}, "get k\r\n", "VALUE k 7 5\r\n", "VA 5 f7"},
	{"miss", memproto.Request{Cmd: mg, Flags: v | f}, "get k\r\n", "END\r\n", "EN"},
	{"hit with CAS", memproto.Request{Cmd: mg, Flags: v | f | c}, "gets k\r\n", "VALUE k 7 5 99\r\n", "VA 5 f7 c99"},
	{"no value asked", memproto.Request{Cmd: mg, Flags: s | f | c}, "gets k\r\n", "VALUE k 7 5 99\r\n", "HD s5 f7 c99"},
	{"touch", memproto.Request{Cmd: mg, Flags: s | c | memproto.FlagT, Exptime: 60}, "gats 60 k\r\n", "VALUE k 7 5 9\r\n", "HD s5 c9"},
	{"get and touch", memproto.Request{Cmd: mg, Flags: v | memproto.FlagT, Exptime: -1}, "gat -1 k\r\n", "VALUE k 0 0\r\n", "VA 0"},
	{"a server without CAS", memproto.Request{Cmd: mg, Flags: s | c}, "gets k\r\n", "VALUE k 7 5 0\r\n", "HD s5"},

	{"won", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "STORED\r\nVALUE k 0 0 8\r\n", "VA 0 f0 c8 W"},
	{"lost", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "NOT_STORED\r\nVALUE k 0 0 8\r\n", "VA 0 f0 c8 Z"},
	{"hit under a lease", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "NOT_STORED\r\nVALUE k 3 1 8\r\n", "VA 1 f3 c8"},
	{"filled since the add", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "STORED\r\nVALUE k 3 1 8\r\n", "VA 1 f3 c8"},
	{"an empty value is no stub", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "NOT_STORED\r\nVALUE k 1 0 8\r\n", "VA 0 f1 c8"},
	{"deleted since the add", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "STORED\r\nEND\r\n", "EN"},
	{"no memory for the stub", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "SERVER_ERROR out of memory storing object\r\nEND\r\n", "SERVER_ERROR"},
	{"no memory but a value", memproto.Request{Cmd: mg, Flags: v | f | c | memproto.FlagN, Vivify: 10}, "add k 0 10 0\r\n\r\ngets k\r\n", "SERVER_ERROR out of memory storing object\r\nVALUE k 3 1 8\r\n", "VA 1 f3 c8"},

	{"set", memproto.Request{Cmd: ms, Value: []byte("xy"), Flags: memproto.FlagF | memproto.FlagT, ClientFlags: 5, Exptime: 30}, "set k 5 30 2\r\nxy\r\nversion\r\n", "STORED\r\nVERSION 1.5.16\r\n", "HD"},
	{"refused", memproto.Request{Cmd: ms, Value: []byte("xy")}, "set k 0 0 2\r\nxy\r\nversion\r\n", "SERVER_ERROR object too large for cache\r\nVERSION 1.5.16\r\n", "SERVER_ERROR"},
	{"add", memproto.Request{Cmd: ms, Flags: memproto.FlagM, Mode: 'E'}, "add k 0 0 0\r\n\r\nversion\r\n", "NOT_STORED\r\nVERSION x\r\n", "NS"},
	{"replace", memproto.Request{Cmd: ms, Flags: memproto.FlagM, Mode: 'R'}, "replace k 0 0 0\r\n\r\nversion\r\n", "STORED\r\nVERSION x\r\n", "HD"},
	{"append", memproto.Request{Cmd: ms, Flags: memproto.FlagM, Mode: 'A'}, "append k 0 0 0\r\n\r\nversion\r\n", "NOT_STORED\r\nVERSION x\r\n", "NS"},
	{"prepend", memproto.Request{Cmd: ms, Flags: memproto.FlagM, Mode: 'P'}, "prepend k 0 0 0\r\n\r\nversion\r\n", "STORED\r\nVERSION x\r\n", "HD"},
	{"cas", memproto.Request{Cmd: ms, Flags: memproto.FlagC, CAS: 9, Value: []byte("x")}, "cas k 0 0 1 9\r\nx\r\nversion\r\n", "EXISTS\r\nVERSION x\r\n", "EX"},
	{"cas on nothing", memproto.Request{Cmd: ms, Flags: memproto.FlagC, CAS: 9, Value: []byte("x")}, "cas k 0 0 1 9\r\nx\r\nversion\r\n", "NOT_FOUND\r\nVERSION x\r\n", "NF"},

	{"delete", memproto.Request{Cmd: md}, "delete k\r\n", "DELETED\r\n", "HD"},
	{"delete nothing", memproto.Request{Cmd: md}, "delete k\r\n", "NOT_FOUND\r\n", "NF"},
	{"hand back", memproto.Request{Cmd: md, Flags: memproto.FlagC, CAS: 9}, "cas k 0 -1 0 9\r\n\r\nversion\r\n", "STORED\r\nVERSION x\r\n", "HD"},
	{"hand back a stale mark", memproto.Request{Cmd: md, Flags: memproto.FlagC | memproto.FlagI, CAS: 9}, "cas k 0 -1 0 9\r\n\r\nversion\r\n", "EXISTS\r\nVERSION x\r\n", "EX"},

	{"incr", memproto.Request{Cmd: ma, Flags: v | memproto.FlagD, Delta: 3, Mode: 'I'}, "incr k 3\r\nversion\r\n", "42\r\nVERSION x\r\n", "VA 42"},
	{"decr", memproto.Request{Cmd: ma, Flags: v | memproto.FlagD, Delta: 3, Mode: 'D'}, "decr k 3\r\nversion\r\n", "NOT_FOUND\r\nVERSION x\r\n", "NF"},
	{"incr a word", memproto.Request{Cmd: ma, Delta: 1}, "incr k 1\r\nversion\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\nVERSION x\r\n", "CLIENT_ERROR"},
	{"noop", memproto.Request{Cmd: memproto.CmdMetaNoop}, "version\r\n", "VERSION 1.5.16\r\n", "MN"},
}

// say is the reply in one line.
func say(r *memproto.Response) string {
	switch {
	case r.Status.IsError() || r.Status == memproto.StatusMN:
		return r.Status.String()
	case r.Status == memproto.StatusVA && r.BodyLen < 0:
		return "VA " + strconv.FormatUint(r.Number, 10)
	}
	return strings.TrimSpace(string(r.AppendLine(nil, nil)))
}

// feed gives the exchange the reply lines; the verdict is that of the last one.
func feed(t testing.TB, x *Exchange, lines string) (memproto.Response, Verdict) {
	var r memproto.Response
	verdict := More
	for rest := []byte(lines); len(rest) > 0; {
		require.Equal(t, More, verdict, "done before %q", rest)
		n, err := memproto.DecodeResponse(rest, nil, &r)
		require.NoError(t, err)
		if verdict = x.Match(&r); verdict == Misfit {
			return r, Misfit
		}
		rest = rest[n:]
	}
	return r, verdict
}

func TestDialogues(t *testing.T) {
	var x Exchange // one for all: it is used again and again
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) {
			d.req.Key = []byte("k")
			require.Equal(t, d.sent, string(x.Append(nil, &d.req)))
			r, verdict := feed(t, &x, d.reply)
			require.Equal(t, Done, verdict)
			require.Equal(t, d.want, say(&r))
		})
	}
}

// No request takes the reply of another kind, no matter where it comes in: only those
// lines fit that its own command can have.
func TestRepliesOfOtherCommandsDoNotFit(t *testing.T) {
	lines := []string{
		"VALUE k 7 5\r\n", "VALUE k 7 5 99\r\n", "VALUE other 7 5\r\n", "VALUE other 7 5 99\r\n", "END\r\n", "STORED\r\n",
		"NOT_STORED\r\n", "EXISTS\r\n", "NOT_FOUND\r\n", "DELETED\r\n", "TOUCHED\r\n", "OK\r\n", "42\r\n", "VERSION x\r\n",
		"ERROR\r\n", "CLIENT_ERROR bad data chunk\r\n", "SERVER_ERROR out of memory\r\n", "STAT a b\r\n", "RESET\r\n",
		"HD\r\n", "VA 5 f7\r\n", "EN\r\n", "NF\r\n", "NS\r\n", "EX\r\n", "MN\r\n", "CLIENT_ERROR " + string(NotNumber) + "\r\n",
	}
	// By what was sent: the lines that may come first, and second.
	fits := map[string][2]string{
		"get": {"VALUE k 7 5|END"}, "gat": {"VALUE k 7 5|END"}, "gets": {"VALUE k 7 5 99|END"}, "gats": {"VALUE k 7 5 99|END"},
		"set":     {"STORED|SERVER_ERROR out of memory", "VERSION x"},
		"replace": {"STORED|NOT_STORED|SERVER_ERROR out of memory", "VERSION x"},
		"append":  {"STORED|NOT_STORED|SERVER_ERROR out of memory", "VERSION x"},
		"prepend": {"STORED|NOT_STORED|SERVER_ERROR out of memory", "VERSION x"},
		"cas":     {"STORED|EXISTS|NOT_FOUND|SERVER_ERROR out of memory", "VERSION x"},
		"delete":  {"DELETED|NOT_FOUND"},
		"incr":    {"42|NOT_FOUND|SERVER_ERROR out of memory|CLIENT_ERROR " + string(NotNumber), "VERSION x"},
		"decr":    {"42|NOT_FOUND|SERVER_ERROR out of memory|CLIENT_ERROR " + string(NotNumber), "VERSION x"},
		"version": {"VERSION x"},
	}
	for _, d := range dialogues {
		d.req.Key = []byte("k")
		word, _, _ := strings.Cut(strings.TrimSpace(d.sent), " ")
		may := fits[word]
		if word == "add" {
			may = [2]string{"STORED|NOT_STORED|SERVER_ERROR out of memory", "VERSION x"}
			if d.req.Cmd == mg {
				may[1] = "VALUE k 7 5 99|END"
			}
		}
		require.NotEmpty(t, may[0], d.sent)
		for _, first := range lines {
			var x Exchange
			x.Append(nil, &d.req)
			_, verdict := feed(t, &x, first)
			if !among(may[0], first) {
				require.Equal(t, Misfit, verdict, "%s: %q", d.name, first)
				continue
			}
			if may[1] == "" {
				require.Equal(t, Done, verdict, "%s: %q", d.name, first)
				continue
			}
			require.Equal(t, More, verdict, "%s: %q", d.name, first)
			for _, second := range lines {
				var x Exchange
				x.Append(nil, &d.req)
				_, verdict := feed(t, &x, first+second)
				require.Equal(t, among(may[1], second), verdict == Done, "%s: %q %q", d.name, first, second)
			}
		}
	}
}

func among(list, line string) bool {
	for _, s := range strings.Split(list, "|") {
		if s+"\r\n" == line {
			return true
		}
	}
	return false
}

// Whatever the request holds, a server of those days reads back one or two commands on
// its key, and nothing else.
func FuzzAppend(fz *testing.F) {
	for _, d := range dialogues {
		fz.Add(uint8(d.req.Cmd), []byte("k"), d.req.Value, uint64(d.req.Flags), d.req.Exptime, d.req.CAS, d.req.ClientFlags, byte(d.req.Mode))
	}
	fz.Fuzz(func(t *testing.T, cmd uint8, key, value []byte, flags uint64, exptime int64, cas uint64, clientFlags uint32, mode byte) {
		if len(key) == 0 || len(key) > memproto.MaxKeyLen || bytes.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return
		}
		// A TTL comes from memproto.Exptime, which keeps to 32 bits.
		exptime = int64(int32(exptime))
		r := memproto.Request{Cmd: mg + memproto.Cmd(cmd%6), Key: key, Value: value, Flags: memproto.Flags(flags), Exptime: exptime, Vivify: exptime, CAS: cas, ClientFlags: clientFlags, Mode: memproto.Mode(mode), Delta: cas, Opaque: []byte("o")}
		var x Exchange
		if r.Cmd == memproto.CmdMetaDebug {
			return // has no classic words
		}
		sent := x.Append(nil, &r)
		lim := memproto.Limits{NoMeta: true, MaxValue: len(value)}
		commands := 0
		for len(sent) > 0 {
			var got memproto.Request
			n, err := memproto.DecodeRequest(sent, &lim, &got)
			require.NoError(t, err, "%q", sent)
			commands++
			if got.Cmd != memproto.CmdVersion {
				require.Equal(t, string(key), string(got.Key))
				require.Empty(t, got.More)
			}
			sent = sent[n:]
			if got.BodyLen >= 0 {
				block := sent[:got.BodyLen]
				require.True(t, len(block) == 0 || bytes.Equal(block, value))
				require.Equal(t, "\r\n", string(sent[got.BodyLen:got.BodyLen+2]))
				sent = sent[got.BodyLen+2:]
			}
		}
		require.LessOrEqual(t, commands, 2)
	})
}

// Whatever comes, the exchange is done once, and only by a value of its own key.
func FuzzMatch(fz *testing.F) {
	for i, d := range dialogues {
		fz.Add(uint8(i), []byte(d.reply))
		fz.Add(uint8(i), []byte("VALUE other 0 0 1\r\n"+d.reply))
		fz.Add(uint8(i), []byte("SERVER_ERROR x\r\n"+d.reply))
	}
	fz.Fuzz(func(t *testing.T, i uint8, lines []byte) {
		d := dialogues[int(i)%len(dialogues)]
		d.req.Key = []byte("k")
		var x Exchange
		x.Append(nil, &d.req)
		for rest := lines; len(rest) > 0; {
			var r memproto.Response
			n, err := memproto.DecodeResponse(rest, nil, &r)
			if err != nil {
				return
			}
			switch x.Match(&r) {
			case Misfit:
				return
			case Done:
				if r.BodyLen >= 0 {
					require.Equal(t, "k", string(r.Key))
				}
				require.Equal(t, Misfit, x.Match(&r), "done is done")
				return
			}
			rest = rest[n:]
		}
	})
}
