package client

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// anyKey draws keys around every border: plain and not, short and long, and what
// other keys travel or are stored as.
func anyKey(t *rapid.T, label string) string {
	n := rapid.OneOf(rapid.IntRange(1, 12), rapid.IntRange(150, 260), rapid.IntRange(1, 1000)).Draw(t, label+" length")
	one := rapid.SampledFrom([]*rapid.Generator[byte]{
		rapid.Byte(), rapid.ByteRange('!', '~'), rapid.SampledFrom([]byte(" \r\n\x00\x7fab")), rapid.SampledFrom([]byte("AZaz09+/=")),
	}).Draw(t, label+" bytes")
	key := string(rapid.SliceOfN(one, n, n).Draw(t, label))
	switch rapid.IntRange(0, 3).Draw(t, label+" as") {
	case 1:
		key = string(wire(key).Key)
	case 2:
		key = stored(wire(key))
	}
	return key
}

func wire(key string) memproto.Request {
	r := memproto.Request{Cmd: memproto.CmdMetaGet, Flags: getFlags}
	setKey(&r, key)
	return r
}

// stored is the key under which a node files a request's item.
func stored(r memproto.Request) string {
	if !r.Flags.Has(memproto.FlagLb) {
		return string(r.Key)
	}
	var mem [memproto.MaxKeyLen]byte
	n, ok := memproto.DecodeKey64(mem[:], r.Key)
	if !ok {
		panic("a key in base64 that is none")
	}
	return string(mem[:n])
}

// Whatever the key, what is sent is one command, and it is the one that was meant.
func TestEveryKeyIsOneCommandOnTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := anyKey(t, "key")
		sent := rapid.SampledFrom([]memproto.Request{
			{Cmd: memproto.CmdMetaGet, Flags: getFlags},
			{Cmd: memproto.CmdMetaSet, Flags: memproto.FlagF | memproto.FlagT, ClientFlags: 7, Exptime: 60, Value: []byte("v\r\n")},
			{Cmd: memproto.CmdMetaDelete, Flags: memproto.FlagC | memproto.FlagI, CAS: 12},
			{Cmd: memproto.CmdMetaArith, Flags: memproto.FlagLv | memproto.FlagD | memproto.FlagM, Delta: 3, Mode: 'I'},
		}).Draw(t, "request")
		setKey(&sent, key)
		assert.LessOrEqual(t, len(sent.Key), memproto.MaxKeyLen)
		assert.NoError(t, item.CheckKey(string(sent.Key)))

		line := sent.Append(nil)
		var got memproto.Request
		n, err := memproto.DecodeRequest(line, nil, &got)
		if err != nil {
			t.Fatalf("the node's parser refuses it: %v", err)
		}
		if got.BodyLen >= 0 {
			assert.True(t, bytes.Equal(line[n:], append(sent.Value, '\r', '\n')))
			n += got.BodyLen + 2
		}
		assert.Equal(t, len(line), n, "one command and nothing behind it")
		assert.Equal(t, sent.Cmd, got.Cmd)
		assert.Equal(t, sent.Flags, got.Flags)
		assert.Equal(t, stored(sent), stored(got))
	})
}

// Two keys never meet in one item.
func TestNoTwoKeysAreStoredAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyKey(t, "a")
		b := anyKey(t, "b")
		if rapid.Bool().Draw(t, "near") {
			// A neighbour: one byte changed, added or lost.
			i := rapid.IntRange(0, len(a)-1).Draw(t, "at")
			c := string(rapid.Byte().Draw(t, "byte"))
			b = rapid.SampledFrom([]string{a[:i] + c + a[i+1:], a + c, a[:i] + a[i+1:] + c, a[:i] + c + a[i:]}).Draw(t, "neighbour")
		}
		assert.Equal(t, a == b, stored(wire(a)) == stored(wire(b)))
	})
}

func TestKeyForms(t *testing.T) {
	plain := strings.Repeat("k", 250)
	for _, key := range []string{"k", "user:42", "QQ==", "ключ", "\x80\xff", plain} {
		r := wire(key)
		require.Equal(t, key, string(r.Key), "a plain key travels as it is")
		require.False(t, r.Flags.Has(memproto.FlagLb))
	}
	for _, key := range []string{" ", "a b", "a\x00b", "\x7f", "a\r\nflush_all\r\n", strings.Repeat(" ", 185)} {
		r := wire(key)
		require.True(t, r.Flags.Has(memproto.FlagLb))
		require.Equal(t, key, stored(r), "the node stores the key itself")
	}
	for _, key := range []string{strings.Repeat(" ", 186), plain + "k", strings.Repeat("long key ", 1000)} {
		s := stored(wire(key))
		require.Len(t, s, 186)
		require.Equal(t, key[:153]+"\x00", s[:154])
		require.NotEqual(t, s, stored(wire(s)), "a digest given as a key is another key")
	}
}

func BenchmarkSetKey(b *testing.B) {
	for name, key := range map[string]string{
		"plain16": "user:42:profile!", "plain250": strings.Repeat("k", 250), "base64": "user 42", "digest": strings.Repeat("long ", 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := memproto.Request{Cmd: memproto.CmdMetaGet}
				setKey(&r, key)
			}
		})
	}
}

func TestPlainKeysCostNothing(t *testing.T) {
	r := memproto.Request{Cmd: memproto.CmdMetaGet}
	require.Zero(t, testing.AllocsPerRun(100, func() { setKey(&r, "user:42:profile") }))
	require.Equal(t, 1.0, testing.AllocsPerRun(100, func() { setKey(&r, "user 42") }))
	long := strings.Repeat("long", 100)
	require.Equal(t, 1.0, testing.AllocsPerRun(100, func() { setKey(&r, long) }))
}
