package memproto

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// wireCmds are the commands whose arguments come from callers.
var wireCmds = []Cmd{
	CmdMetaGet, CmdMetaSet, CmdMetaDelete, CmdMetaArith, CmdMetaDebug, CmdGet, CmdGats, CmdSet, CmdAppend, CmdCas,
	CmdIncr, CmdDecr, CmdTouch, CmdDelete,
}

// wireFlags are the flags memherd's client asks each meta command with.
var wireFlags = map[Cmd]Flags{
	CmdMetaGet:    FlagLv | FlagLf | FlagLt | FlagLc | FlagLk | FlagLs | FlagLh | FlagLl | FlagLu | FlagT | FlagN | FlagR | FlagE | FlagO,
	CmdMetaSet:    FlagLc | FlagLk | FlagC | FlagF | FlagT | FlagI | FlagE | FlagO,
	CmdMetaDelete: FlagLk | FlagC | FlagT | FlagI | FlagO,
	CmdMetaArith:  FlagLv | FlagLt | FlagLc | FlagC | FlagT | FlagN | FlagJ | FlagD | FlagO,
}

// Whatever the arguments, what is written is exactly one command to the node's parser,
// and says what was meant.
func FuzzRequestWire(f *testing.F) {
	for cmd := range wireCmds {
		f.Add("key", []byte("value"), uint64(FlagLv|FlagT|FlagO), uint32(1), int64(30), uint64(5), "O1", uint8(cmd))
		f.Add("k\xc3\xa9y\xff", []byte("get a\r\nget b\r\n"), ^uint64(0), ^uint32(0), int64(1)<<40, ^uint64(0), "a", uint8(cmd))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte, flags uint64, clientFlags uint32, exptime int64, n uint64, opaque string, cmd uint8) {
		c := wireCmds[int(cmd)%len(wireCmds)]
		if !wireSafe(key, MaxKeyLen) || !wireSafe(opaque, MaxOpaqueLen) || len(value) > 1<<16 {
			return
		}
		if key[0] == '/' && c == CmdGet {
			return // "get / HTTP/1.1" is refused
		}
		exptime &= 0x7fffffff
		r := Request{Cmd: c, Key: []byte(key), Value: value, Flags: Flags(flags) & wireFlags[c], Opaque: []byte(opaque), ClientFlags: clientFlags,
			Exptime: exptime, Vivify: exptime, Recache: exptime, CAS: n, NewCAS: n, Delta: n, Initial: n}
		before := []byte("HD O1\r\n")
		wire := r.Append(before)
		require.True(t, bytes.HasPrefix(wire, before), "what was queued before stays")
		wire = wire[len(before):]

		var got Request
		used, err := DecodeRequest(wire, &Limits{MaxValue: 1 << 17}, &got)
		require.NoError(t, err)
		require.Equal(t, c, got.Cmd)
		require.Equal(t, key, string(got.Key))
		require.Empty(t, got.More)
		require.Equal(t, r.Flags, got.Flags)
		if c.Storage() {
			require.Equal(t, len(value), got.BodyLen)
			require.Equal(t, string(value)+"\r\n", string(wire[used:]))
		} else {
			require.Len(t, wire, used, "one command, and nothing behind it")
		}
		classic := c == CmdSet || c == CmdAppend || c == CmdCas
		for _, arg := range []struct {
			name       string
			said       bool
			want, read uint64
		}{
			{"client flags", classic || r.Flags.Has(FlagF), uint64(clientFlags), uint64(got.ClientFlags)},
			{"exptime", classic || c == CmdTouch || c == CmdGats || r.Flags.Has(FlagT), uint64(exptime), uint64(got.Exptime)},
			{"vivify", r.Flags.Has(FlagN), uint64(exptime), uint64(got.Vivify)},
			{"recache", r.Flags.Has(FlagR), uint64(exptime), uint64(got.Recache)},
			{"cas", c == CmdCas || r.Flags.Has(FlagC), n, got.CAS},
			{"new cas", r.Flags.Has(FlagE), n, got.NewCAS},
			{"delta", c == CmdIncr || c == CmdDecr || r.Flags.Has(FlagD), n, got.Delta},
			{"initial", r.Flags.Has(FlagJ), n, got.Initial},
		} {
			if arg.said {
				require.Equal(t, arg.want, arg.read, arg.name)
			}
		}
		if r.Flags.Has(FlagO) {
			require.Equal(t, opaque, string(got.Opaque))
		}
	})
}

// wireSafe says what the client lets through as a key.
func wireSafe(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return len(s) > 0 && len(s) <= most
}
