package memproto

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestResponseAppend(t *testing.T) {
	for want, r := range map[string]Response{
		"HD\r\n":                    {Status: StatusHD},
		"VA 1 f7 t-1 Oab\r\nx\r\n":  {Status: StatusVA, Flags: FlagLf | FlagLt | FlagO, ClientFlags: 7, TTL: -1, Opaque: []byte("ab"), Value: []byte("x")},
		"HD kYQ== b W\r\n":          {Status: StatusHD, Flags: FlagLk | FlagLb | FlagW, Key: []byte("YQ==")},
		"HD Z X\r\n":                {Status: StatusHD, Flags: FlagZ | FlagX},
		"VALUE a 1 1 5\r\nx\r\n":    {Status: StatusValue, Key: []byte("a"), ClientFlags: 1, CAS: 5, HasCAS: true, Value: []byte("x")},
		"VALUE a 0 0\r\n\r\n":       {Status: StatusValue, Key: []byte("a")},
		"17\r\n":                    {Status: StatusNumber, Number: 17},
		"STAT pid 1\r\n":            {Status: StatusStat, Key: []byte("pid"), Message: []byte("1")},
		"CLIENT_ERROR bad line\r\n": {Status: StatusClientError, Message: []byte("bad line")},
		"ERROR\r\n":                 {Status: StatusError},
		"ME a exp=-1\r\n":           {Status: StatusME, Key: []byte("a"), Message: []byte("exp=-1")},
		"NOT_STORED\r\n":            {Status: StatusNotStored},
		"EN kk Ox\r\n":              {Status: StatusEN, Flags: FlagLk | FlagO, Key: []byte("k"), Opaque: []byte("x")},
		"HD s3 c9 l4 h1\r\n":        {Status: StatusHD, Flags: FlagLs | FlagLc | FlagLl | FlagLh, Size: 3, CAS: 9, LastAccess: 4, Hit: true},
	} {
		assert.Equal(t, want, string(r.Append(nil)))
	}
}

func TestAppendLineFollowsTheRequestsOrder(t *testing.T) {
	r := Response{Status: StatusHD, Flags: FlagO | FlagLk | FlagLt | FlagLh | FlagW, Opaque: []byte("1"), Key: []byte("key"), TTL: 5}
	assert.Equal(t, "HD O1 t5 kkey h0 W\r\n", string(r.AppendLine(nil, []byte("O1 q  t T30 k v h"))))
}

// TestResponseRoundTrip: decoding what Append wrote gives the reply back.
func TestResponseRoundTrip(t *testing.T) {
	word := rapid.StringMatching(`[!-~]{1,30}`)
	rapid.Check(t, func(t *rapid.T) {
		want := Response{Status: Status(rapid.IntRange(int(StatusHD), int(numStatuses)-1).Draw(t, "status")), BodyLen: -1}
		switch want.Status {
		case StatusHD, StatusVA, StatusEN, StatusNF, StatusNS, StatusEX:
			for _, l := range rapid.SliceOfDistinct(rapid.SampledFrom([]byte("fOkctslhWXZ")), rapid.ID).Draw(t, "letters") {
				want.Flags |= Flag(l)
				switch l {
				case 'f':
					want.ClientFlags = rapid.Uint32().Draw(t, "f")
				case 'O':
					want.Opaque = []byte(word.Draw(t, "O"))
				case 'k':
					want.Key = []byte(word.Draw(t, "k"))
				case 'c':
					want.CAS, want.HasCAS = rapid.Uint64().Draw(t, "c"), true
				case 't':
					want.TTL = rapid.Int64Range(-1, 1<<31).Draw(t, "t")
				case 's':
					want.Size = rapid.Int64Range(0, 1<<30).Draw(t, "s")
				case 'l':
					want.LastAccess = rapid.Int64Range(0, 1<<31).Draw(t, "l")
				case 'h':
					want.Hit = rapid.Bool().Draw(t, "h")
				}
			}
		case StatusValue:
			want.Key, want.ClientFlags = []byte(word.Draw(t, "key")), rapid.Uint32().Draw(t, "flags")
			if want.HasCAS = rapid.Bool().Draw(t, "hascas"); want.HasCAS {
				want.CAS = rapid.Uint64().Draw(t, "cas")
			}
		case StatusStat, StatusME:
			want.Key, want.Message = []byte(word.Draw(t, "name")), []byte(word.Draw(t, "value"))
		case StatusVersion, StatusClientError, StatusServerError:
			want.Message = []byte(word.Draw(t, "message"))
		case StatusNumber:
			want.Number = rapid.Uint64().Draw(t, "number")
		}
		if want.Status == StatusVA || want.Status == StatusValue {
			want.Value = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")
			want.BodyLen = len(want.Value)
		}
		wire := want.Append(nil)
		var got Response
		n, err := DecodeResponse(wire, nil, &got)
		require.NoError(t, err, "%q", wire)
		if got.BodyLen >= 0 {
			got.Value = wire[n : n+got.BodyLen]
			n += got.BodyLen + 2
		}
		require.Equal(t, len(wire), n)
		if len(got.Message) == 0 {
			got.Message = nil
		}
		require.Equal(t, want, got, "%q", wire)
	})
}
