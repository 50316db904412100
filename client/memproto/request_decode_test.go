package memproto

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawRequest makes a valid request of any command, as a decoder would return it.
func drawRequest(t *rapid.T) Request {
	cmd := Cmd(rapid.IntRange(int(CmdGet), int(numCmds)-1).Draw(t, "cmd"))
	r := Request{Cmd: cmd, BodyLen: -1}
	key := func(name string) []byte {
		return []byte(rapid.StringMatching(`[!-~\x80-\xff]{1,250}`).Filter(func(s string) bool { return len(s) <= MaxKeyLen && s != "noreply" }).Draw(t, name))
	}
	exptime := rapid.Int64Range(-1<<31, 1<<31-1)
	switch cmd {
	case CmdMetaNoop, CmdVersion, CmdQuit:
		return r
	case CmdStats:
		if rapid.Bool().Draw(t, "args") {
			r.Args = []byte("conns")
		}
		return r
	case CmdVerbosity:
		r.Args = []byte("1")
		r.NoReply = rapid.Bool().Draw(t, "noreply")
		return r
	case CmdFlushAll:
		r.NoReply = rapid.Bool().Draw(t, "noreply")
		if r.HasDelay = rapid.Bool().Draw(t, "delay"); r.HasDelay {
			r.Exptime = exptime.Draw(t, "exptime")
		}
		return r
	}
	r.Key = key("key")
	switch cmd {
	case CmdGet, CmdGets, CmdGat, CmdGats:
		if rapid.Bool().Draw(t, "more") {
			r.More = append(append(key("key2"), ' '), key("key3")...)
		}
		if cmd >= CmdGat {
			r.Exptime = exptime.Draw(t, "exptime")
		}
		if r.Key[0] == '/' {
			r.Key[0] = 'x' // "get / HTTP/1.1" is refused
		}
		return r
	case CmdMetaDebug:
		return r
	case CmdMetaGet, CmdMetaSet, CmdMetaDelete, CmdMetaArith:
		drawMeta(t, &r, exptime)
	default:
		r.NoReply = rapid.Bool().Draw(t, "noreply")
	}
	switch {
	case cmd == CmdIncr || cmd == CmdDecr:
		r.Delta = rapid.Uint64().Draw(t, "delta")
	case cmd == CmdTouch:
		r.Exptime = exptime.Draw(t, "exptime")
	case cmd == CmdMetaSet:
		r.Value = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value")
	case cmd.Storage():
		r.Value = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value")
		r.ClientFlags = rapid.Uint32().Draw(t, "flags")
		r.Exptime = exptime.Draw(t, "exptime")
		if cmd == CmdCas {
			r.CAS = rapid.Uint64().Draw(t, "cas")
		}
	}
	if cmd.Storage() {
		r.BodyLen = len(r.Value)
	}
	return r
}

func drawMeta(t *rapid.T, r *Request, exptime *rapid.Generator[int64]) {
	if r.Cmd == CmdMetaArith {
		r.Delta = 1
	}
	letters := []byte("bcfhklqstvuxIOCEFTNRDJM")
	for _, l := range rapid.SliceOfNDistinct(rapid.SampledFrom(letters), 0, 15, rapid.ID).Draw(t, "letters") {
		r.Flags |= Flag(l)
		switch l {
		case 'b':
			r.Key = AppendKey64(nil, r.Key[:min(len(r.Key), 180)])
		case 'O':
			r.Opaque = []byte(rapid.StringMatching(`[!-~]{1,31}`).Draw(t, "opaque"))
		case 'C':
			r.CAS = rapid.Uint64().Draw(t, "cas")
		case 'E':
			r.NewCAS = rapid.Uint64().Draw(t, "newcas")
		case 'F':
			r.ClientFlags = rapid.Uint32().Draw(t, "flags")
		case 'T':
			r.Exptime = exptime.Draw(t, "T")
		case 'N':
			r.Vivify = exptime.Draw(t, "N")
		case 'R':
			r.Recache = exptime.Draw(t, "R")
		case 'D':
			r.Delta = rapid.Uint64().Draw(t, "D")
		case 'J':
			r.Initial = rapid.Uint64().Draw(t, "J")
		case 'M':
			modes := "EAPRS"
			if r.Cmd == CmdMetaArith {
				modes = "ID"
			}
			r.Mode = Mode(modes[rapid.IntRange(0, len(modes)-1).Draw(t, "mode")])
		}
	}
}

// TestRequestRoundTrip: decoding what Append wrote gives the request back.
func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRequest(t)
		wire := want.Append(nil)
		var got Request
		n, err := DecodeRequest(wire, nil, &got)
		require.NoError(t, err, "%q", wire)
		if want.BodyLen >= 0 {
			require.Equal(t, len(wire), n+want.BodyLen+2)
			got.Value = wire[n : n+got.BodyLen]
		} else {
			require.Equal(t, len(wire), n)
		}
		got.Meta = nil
		for _, p := range []*[]byte{&want.Key, &want.More, &want.Opaque, &want.Args, &want.Value, &got.Key, &got.More, &got.Opaque, &got.Args, &got.Value} {
			if len(*p) == 0 {
				*p = nil
			}
		}
		require.Equal(t, want, got, "%q", wire)
	})
}

func TestDecodeRequestErrors(t *testing.T) {
	long := strings.Repeat("k", 251)
	for _, c := range []struct {
		line string
		want RequestError
		body int
	}{
		{"\r\n", ReqBadFormat, -1},
		{"mn\n", ReqBadFormat, -1}, // head counts four bytes at least
		{"bogus\r\n", ReqUnknown, -1},
		{" get foo\r\n", ReqUnknown, -1},
		{"GET / HTTP/1.0\r\n", ReqHTTP, -1},
		{"PUT\t/\tHTTP/1.1\r\n", ReqHTTP, -1},
		{"get / HTTP/1.1\r\n", ReqHTTP, -1},
		{"host: example.com\r\n", ReqHTTP, -1},
		{"\x80\x00\r\n", ReqBinary, -1},
		{"get " + long + "\r\n", ReqBadFormat, -1},
		{"get a b " + long + " c\r\n", ReqBadFormat, -1},
		{"set " + long + " 0 0 5\r\n", ReqBadFormat, 5},
		{"set a 0 0 -1\r\n", ReqBadFormat, -1},
		{"set a 0 0 2147483646\r\n", ReqBadFormat, -1},
		{"set a 0 0 9223372036854775808\r\n", ReqBadFormat, -1},
		{"set a x 0 2\r\n", ReqBadFormat, 2},
		{"set a 0 0 1048577\r\n", ReqTooLarge, 1048577},
		{"ms a 2147483645\r\n", ReqTooLarge, 2147483645},
		{"cas a 0 0 1\r\n", ReqBadFormat, 1},
		{"mg a v v\r\n", ReqDuplicateFlag, -1},
		{"mg a S1\r\n", ReqInvalidFlag, -1},
		{"mg a T\r\n", ReqBadToken, -1},
		{"mg a Jx\r\n", ReqBadInitial, -1},
		{"mg a Dx\r\n", ReqBadDeltaValue, -1},
		{"mg @@@@ b\r\n", ReqBadKeyEncoding, -1},
		{"mg a O" + strings.Repeat("o", 32) + "\r\n", ReqOpaqueTooLong, -1},
		{"mg a" + strings.Repeat(" v", 30) + "\r\n", ReqTooManyFlags, -1},
		{"ms a 2 v v\r\n", ReqDuplicateFlag, 2},
		{"ms a 2 v !\r\n", ReqBadFormat, -1},
		{"ms a 2 Mx\r\n", ReqBadSetMode, 2},
		{"ms a 2 M\r\n", ReqBadSetMode, 2},
		{"ma a M\r\n", ReqBadArithMode, -1},
		{"ma a Dx\r\n", ReqBadArithFlag, -1},
		{"ma " + long + "\r\n", ReqBadArithFlag, -1},
	} {
		var r Request
		n, err := DecodeRequest([]byte(c.line), nil, &r)
		assert.Equal(t, c.want, err, "%.60q", c.line)
		assert.Equal(t, len(c.line), n, "%.60q", c.line)
		assert.Equal(t, c.body, r.BodyLen, "%.60q", c.line)
		assert.Equal(t, c.want.Close(), c.want.Reply() == "", c.want.Error())
	}
}

func TestDecodeRequestLineLimits(t *testing.T) {
	var r Request
	for _, c := range []struct {
		buf  string
		want error
	}{
		{"", ErrIncomplete},
		{strings.Repeat("x", 2048), ErrIncomplete},
		{strings.Repeat("x", 2049), ReqLineTooLong},
		{"get " + strings.Repeat("x", 1<<19), ErrIncomplete},
		{"   gets " + strings.Repeat("x", 1<<19), ErrIncomplete},
		{strings.Repeat(" ", 101) + "get " + strings.Repeat("x", 1<<19), ReqLineTooLong},
		{"get " + strings.Repeat("x", 1<<20), ReqLineTooLong},
		{"get " + strings.Repeat("x ", 1<<20) + "\r\n", ReqLineTooLong},
		{"\x80", ReqBinary},
		{strings.Repeat("x", 4096) + "\r\n", ReqUnknown},
	} {
		_, err := DecodeRequest([]byte(c.buf), nil, &r)
		assert.Equal(t, c.want, err, "%.20q of %d bytes", c.buf, len(c.buf))
	}
}

func TestDecodeRequestAllocatesNothing(t *testing.T) {
	var r Request
	lines := [][]byte{
		[]byte("mg key v f Oabc\r\n"), []byte("get a b c\r\n"), []byte("set k 1 2 3 noreply\r\n"),
		[]byte("mg Zm9v b k\r\n"), []byte("bogus\r\n"), []byte("mg a v v\r\n"), []byte("set a 0 0 -1\r\n"),
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, l := range lines {
			DecodeRequest(l, nil, &r)
		}
	}))
}

func TestDecodeKey64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, MaxKeyLen).Draw(t, "key")
		var got [MaxKeyLen]byte
		n, ok := DecodeKey64(got[:], AppendKey64(nil, key))
		require.True(t, ok)
		require.Equal(t, key, got[:n])
	})
	for text, want := range map[string]string{"": "", "Zg": "", "Z===": "", "====": "", "@Z@m@9@v@": "foo", "Zg==": "f", "Zm8=": "fo", "Zm8=Zm9v": "fo", "Zg==Zm9vZg==": "f", "Zg==Zm": ""} {
		var got [MaxKeyLen]byte
		n, ok := DecodeKey64(got[:], []byte(text))
		assert.Equal(t, want != "", ok, text)
		if ok {
			assert.Equal(t, want, string(got[:n]))
		}
	}
}

// decodeAll decodes everything in buf and returns a trace that names each outcome.
func decodeAll(buf []byte) (trace []Request, errs []error, rest int) {
	for {
		var r Request
		n, err := DecodeRequest(buf, nil, &r)
		if err == ErrIncomplete {
			return trace, errs, len(buf)
		}
		trace, errs = append(trace, r), append(errs, err)
		if e, ok := err.(RequestError); ok && e.Close() {
			return trace, errs, -1
		}
		buf = buf[n:]
	}
}

// FuzzRequestDecode: nothing panics, nothing is read past the line, and a line that is
// cut anywhere is incomplete and decodes to the same when the rest comes.
func FuzzRequestDecode(f *testing.F) {
	for _, s := range []string{
		"mg key v f Oabc\r\n", "ms k 3 T0 F1 MS\r\nabc\r\n", "md k I T30\r\n", "ma k N0 J1 D2\r\n", "get a b\r\n",
		"set a 0 0 1 noreply\r\nx\r\n", "cas a 0 0 1 5\r\n", "gat 10 a\r\n", "\x80\x00", "GET / HTTP/1.0\r\n", "mn\r\n", "flush_all 10 noreply\r\n",
	} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		var whole, again Request
		n, err := DecodeRequest(in, nil, &whole)
		if n < 0 || n > len(in) || (err == ErrIncomplete) != (n == 0) {
			t.Fatalf("consumed %d of %d with %v", n, len(in), err)
		}
		if whole.BodyLen < -1 || whole.BodyLen > maxBodyLen {
			t.Fatalf("BodyLen %d", whole.BodyLen)
		}
		if len(whole.Opaque) > MaxOpaqueLen && err == nil || len(whole.Key) > MaxKeyLen && err == nil {
			t.Fatal("accepted what is over the limit")
		}
		if end := bytes.IndexByte(in, '\n'); end >= 0 && end < 2048 {
			// What follows the line changes nothing.
			m, err2 := DecodeRequest(append(bytes.Clone(in[:n]), "junk\r\n"...), nil, &again)
			assert.Equal(t, n, m)
			assert.Equal(t, err, err2)
			assert.Equal(t, whole, again)
			// Half a line is only ever incomplete, or binary and refused at once.
			if half := in[:int(cut)%(end+1)]; len(half) > 0 {
				_, err3 := DecodeRequest(half, nil, &again)
				if err3 != ErrIncomplete && err3 != ReqBinary {
					t.Fatalf("half a line %q: %v", half, err3)
				}
			}
		}
		decodeAll(in)
	})
}
