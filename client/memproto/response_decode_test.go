package memproto

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeResponse(t *testing.T) {
	none := Response{BodyLen: -1}
	with := func(f func(r *Response)) Response { r := none; f(&r); return r }
	for line, want := range map[string]Response{
		"HD":     with(func(r *Response) { r.Status = StatusHD }),
		"HD O1a": with(func(r *Response) { r.Status, r.Flags, r.Opaque = StatusHD, FlagO, []byte("1a") }),
		"EN kfoo Oz b": with(func(r *Response) {
			r.Status, r.Flags, r.Key, r.Opaque = StatusEN, FlagLk|FlagO|FlagLb, []byte("foo"), []byte("z")
		}),
		"VA 12 f4294967295 c18446744073709551615 t-1 s12 l3 h1 W": with(func(r *Response) {
			r.Status, r.BodyLen, r.ClientFlags, r.CAS, r.HasCAS, r.TTL, r.Size = StatusVA, 12, math.MaxUint32, math.MaxUint64, true, -1, 12
			r.LastAccess, r.Hit, r.Flags = 3, true, FlagLf|FlagLc|FlagLt|FlagLs|FlagLl|FlagLh|FlagW
		}),
		"VA 0 X Z":             with(func(r *Response) { r.Status, r.BodyLen, r.Flags = StatusVA, 0, FlagX|FlagZ }),
		"HD jnew":              with(func(r *Response) { r.Status, r.Flags = StatusHD, Flag('j') }),
		"NS":                   with(func(r *Response) { r.Status = StatusNS }),
		"EX":                   with(func(r *Response) { r.Status = StatusEX }),
		"NF":                   with(func(r *Response) { r.Status = StatusNF }),
		"MN":                   with(func(r *Response) { r.Status = StatusMN }),
		"OK":                   with(func(r *Response) { r.Status = StatusOK }),
		"ME foo exp=-1 s=2":    with(func(r *Response) { r.Status, r.Key, r.Message = StatusME, []byte("foo"), []byte("exp=-1 s=2") }),
		"STORED":               with(func(r *Response) { r.Status = StatusStored }),
		"NOT_STORED":           with(func(r *Response) { r.Status = StatusNotStored }),
		"EXISTS":               with(func(r *Response) { r.Status = StatusExists }),
		"NOT_FOUND":            with(func(r *Response) { r.Status = StatusNotFound }),
		"DELETED":              with(func(r *Response) { r.Status = StatusDeleted }),
		"TOUCHED":              with(func(r *Response) { r.Status = StatusTouched }),
		"RESET":                with(func(r *Response) { r.Status = StatusReset }),
		"END":                  with(func(r *Response) { r.Status = StatusEnd }),
		"0":                    with(func(r *Response) { r.Status = StatusNumber }),
		"10":                   with(func(r *Response) { r.Status, r.Number = StatusNumber, 10 }),
		"18446744073709551615": with(func(r *Response) { r.Status, r.Number = StatusNumber, math.MaxUint64 }),
		"99 ":                  with(func(r *Response) { r.Status, r.Number = StatusNumber, 99 }),
		"VALUE foo 5 3":        with(func(r *Response) { r.Status, r.Key, r.ClientFlags, r.BodyLen = StatusValue, []byte("foo"), 5, 3 }),
		"VALUE foo 5 3 77": with(func(r *Response) {
			r.Status, r.Key, r.ClientFlags, r.BodyLen, r.CAS, r.HasCAS = StatusValue, []byte("foo"), 5, 3, 77, true
		}),
		"STAT pid 17":        with(func(r *Response) { r.Status, r.Key, r.Message = StatusStat, []byte("pid"), []byte("17") }),
		"VERSION 1.6.18":     with(func(r *Response) { r.Status, r.Message = StatusVersion, []byte("1.6.18") }),
		"ERROR":              with(func(r *Response) { r.Status = StatusError }),
		"ERROR: no":          with(func(r *Response) { r.Status, r.Message = StatusError, []byte("no") }),
		"CLIENT_ERROR bad":   with(func(r *Response) { r.Status, r.Message = StatusClientError, []byte("bad") }),
		"SERVER_ERROR o m":   with(func(r *Response) { r.Status, r.Message = StatusServerError, []byte("o m") }),
		"SERVER_ERROR: shut": with(func(r *Response) { r.Status, r.Message = StatusServerError, []byte("shut") }),
	} {
		for _, end := range []string{"\r\n", "\n"} {
			var got Response
			n, err := DecodeResponse([]byte(line+end+"rest"), nil, &got)
			require.NoError(t, err, line)
			require.Equal(t, len(line+end), n, line)
			require.Equal(t, fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got), line)
		}
	}
}

func TestDecodeResponseRefuses(t *testing.T) {
	for line, want := range map[string]error{
		"": ErrBadReply, " ": ErrBadReply, "XX": ErrBadReply, "HDx": ErrBadReply, "hd": ErrBadReply, "VA": ErrBadReply,
		"VA x": ErrBadReply, "VA -1": ErrBadReply, "VA +1": ErrBadReply, "VA 01x": ErrBadReply,
		"VA 99999999999": ErrValueTooLong, "VA 18446744073709551616": ErrBadReply,
		"HD f4294967296": ErrBadReply, "HD f-1": ErrBadReply, "HD cx": ErrBadReply, "HD t": ErrBadReply, "HD h2": ErrBadReply,
		"HD !": ErrBadReply, "HD " + strings.Repeat("k ", 65): ErrBadReply,
		"18446744073709551616": ErrBadReply, "1x": ErrBadReply,
		"VALUE": ErrBadReply, "VALUE k": ErrBadReply, "VALUE k 1": ErrBadReply, "VALUE k x 1": ErrBadReply,
		"VALUE k 4294967296 1": ErrBadReply, "VALUE k 1 -1": ErrBadReply, "VALUE k 1 1 x": ErrBadReply, "VALUE k 1 1 1 1": ErrBadReply,
		"VALUE k 1 99999999999": ErrValueTooLong, "STAT": ErrBadReply, "STORED_": ErrBadReply, "BOGUS: x": ErrBadReply,
	} {
		var r Response
		n, err := DecodeResponse([]byte(line+"\r\n"), nil, &r)
		require.ErrorIs(t, err, want, "%q", line)
		require.Zero(t, n, "nothing is consumed")
	}
	var r Response
	_, err := DecodeResponse([]byte(strings.Repeat("x", DefaultMaxResponseLine+2)), nil, &r)
	require.ErrorIs(t, err, ErrLineTooLong, "without a line end")
	_, err = DecodeResponse([]byte("VERSION "+strings.Repeat("x", DefaultMaxResponseLine)+"\r\n"), nil, &r)
	require.ErrorIs(t, err, ErrLineTooLong)
	_, err = DecodeResponse([]byte("VA 11\r\n"), &Limits{MaxValue: 10}, &r)
	require.ErrorIs(t, err, ErrValueTooLong)
	_, err = DecodeResponse([]byte("HD k"), nil, &r)
	require.ErrorIs(t, err, ErrIncomplete)
}

// A line may arrive in any two parts: the first is incomplete, the whole is the same.
func FuzzResponseDecode(f *testing.F) {
	for _, s := range []string{
		"VA 5 f7 t-1 O1\r\n", "EN\r\n", "HD c5 W X Z\r\n", "VALUE k 1 2 3\r\n", "STAT a b c\r\n", "10\r\n", "SERVER_ERROR x\r\n",
		"ERROR: x\n", "VA 99999999999999999999\r\n", "\r\n", "\n", "ME k a=b\r\n", "VERSION\r\n",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		in = bytes.Clone(in)
		var whole, again Response
		n, err := DecodeResponse(in, nil, &whole)
		if err != nil {
			require.Zero(t, n)
		} else {
			require.Positive(t, n)
			require.LessOrEqual(t, n, len(in))
			require.LessOrEqual(t, whole.BodyLen, DefaultMaxReplyValue)
			require.Equal(t, byte('\n'), in[n-1])
		}
		if cut > 0 && cut < len(in) {
			part := in[:cut]
			m, err2 := DecodeResponse(part, nil, &again)
			switch {
			case bytes.IndexByte(part, '\n') >= 0:
				require.Equal(t, n, m, "bytes behind the line don't matter")
				require.Equal(t, err, err2)
			case len(part) <= DefaultMaxResponseLine:
				require.ErrorIs(t, err2, ErrIncomplete)
			}
		}
	})
}

func TestFlags(t *testing.T) {
	all := Flags(0)
	for c := range 256 {
		f := Flag(byte(c))
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		require.Equal(t, letter, f != 0)
		if letter {
			require.Equal(t, byte(c), f.Letter())
			require.False(t, all.Has(f))
			all |= f
		}
	}
	require.Equal(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", all.String())
	require.Zero(t, Flags(0).Letter())
	require.Equal(t, FlagLv, Flag('v'))
	require.Equal(t, FlagZ, Flag('Z'))
	require.Equal(t, "?", Cmd(200).String())
	require.Equal(t, "?", Status(200).String())
}
