package memproto

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDecodeValue(t *testing.T) {
	for line, want := range map[string]Value{
		"VALUE k 0 0\r\n":                {[]byte("k"), 0, 0, 13},
		"VALUE key:1 4294967295 100\r\n": {[]byte("key:1"), 1<<32 - 1, 100, 28},
		"VALUE \x80\xff 7 12\r\nabc":     {[]byte("\x80\xff"), 7, 12, 15},
	} {
		v, ok := DecodeValue([]byte(line), nil)
		require.True(t, ok, "%q", line)
		require.Equal(t, want, v)
	}
	for _, line := range []string{
		"", "V", "VALUE", "VALUE ", "VALUE k", "VALUE k ", "VALUE k 0", "VALUE k 0 ", "VALUE k 0 1", "VALUE k 0 1\r",
		"VALUE  0 1\r\n", "VALUE k  0 1\r\n", "VALUE k 0  1\r\n", "VALUE k 0 1 \r\n", "VALUE k 0 1 5\r\n", "VALUE k 0 1\n", "VALUE k 0 1\rx",
		"VALUE k 4294967296 1\r\n", "VALUE k 00000000000 1\r\n", "VALUE k 0 99999999999\r\n", "VALUE k 0 999999999999999999999999999\r\n",
		"VALUE k -1 1\r\n", "VALUE k 0 x\r\n", "VALUE k\r\n", "VALUE a\nb 0 1\r\n", "VALUE a\rb 0 1\r\n", "value k 0 1\r\n", "END\r\n",
		"VALUE k 0 134217729\r\n", // one byte more than a server can hold
	} {
		_, ok := DecodeValue([]byte(line), nil)
		require.False(t, ok, "%q", line)
	}
	_, ok := DecodeValue([]byte("VALUE k 0 11\r\n"), &Limits{MaxValue: 10})
	require.False(t, ok)
	_, ok = DecodeValue([]byte("VALUE kkkkkkk 0 1\r\n"), &Limits{MaxLine: 10})
	require.False(t, ok)
}

// sameAsResponse fails if DecodeValue takes a line for what DecodeResponse does not.
func sameAsResponse(t require.TestingT, buf []byte, lim *Limits) (ok bool) {
	v, ok := DecodeValue(buf, lim)
	if !ok {
		return false
	}
	var r Response
	n, err := DecodeResponse(buf, lim, &r)
	require.NoError(t, err)
	require.Equal(t, n, v.LineLen)
	require.Equal(t, Response{Status: StatusValue, Key: v.Key, ClientFlags: v.Flags, BodyLen: v.BodyLen}, r)
	return true
}

func TestDecodeValueIsDecodeResponse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"VALUE", " ", " ", "k", "key", "0", "12", "4294967295", "4294967296", "\r", "\n", "\r\n", "\t", "x"})
		buf := ""
		for _, p := range rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces") {
			buf += p
		}
		lim := &Limits{MaxValue: rapid.IntRange(1, 100).Draw(t, "most"), MaxLine: rapid.IntRange(8, 40).Draw(t, "line")}
		sameAsResponse(t, []byte(buf), lim)
		key := rapid.StringMatching(`[!-~]{1,12}`).Draw(t, "key")
		flags, size := rapid.Uint32().Draw(t, "flags"), rapid.IntRange(0, 100).Draw(t, "size")
		require.True(t, sameAsResponse(t, fmt.Appendf(nil, "VALUE %s %d %d\r\n%s", key, flags, size, buf), nil))
	})
}

func FuzzDecodeValue(f *testing.F) {
	f.Add([]byte("VALUE k 0 1\r\nv\r\n"))
	f.Add([]byte("VALUE key 4294967295 100\r\n"))
	f.Fuzz(func(t *testing.T, buf []byte) { sameAsResponse(t, buf, nil) })
}
