package loader

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sealed(k kind, key string, at time.Time, payload []byte) []byte {
	b := append(newEnvelope(k, at, life{}, 0), payload...)
	sealEnvelope(b, key)
	return b
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		key := rapid.StringN(1, 250, 250).Draw(t, "key")
		at := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "ms"))
		ms := rapid.Int64Range(0, math.MaxInt64/int64(time.Millisecond))
		times := life{
			soft: time.Duration(ms.Draw(t, "soft")) * time.Millisecond,
			hard: time.Duration(ms.Draw(t, "hard")) * time.Millisecond,
			keep: time.Duration(ms.Draw(t, "keep")) * time.Millisecond,
			cost: time.Duration(rapid.Uint32().Draw(t, "cost")) * time.Microsecond,
		}
		b := append(newEnvelope(kindValue, at, times, 0), payload...)
		sealEnvelope(b, key)
		e, err := openEnvelope(b, key, len(payload))
		require.NoError(t, err)
		require.Equal(t, kindValue, e.kind)
		require.True(t, at.Equal(e.written))
		require.Equal(t, times, e.life)
		require.True(t, bytes.Equal(payload, e.payload))

		_, err = openEnvelope(b, key+"x", len(payload))
		require.ErrorIs(t, err, errCorrupt, "another key's bytes")
		bit := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		_, err = openEnvelope(b, key, len(payload))
		require.ErrorIs(t, err, errCorrupt, "one flipped bit")
	})
}

func TestEnvelopeRefuses(t *testing.T) {
	const key = "k"
	now := time.UnixMilli(1_700_000_000_000)
	good := sealed(kindValue, key, now, []byte("value"))
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		sealEnvelope(b, key) // so that it is not the sum that refuses
		return b
	}
	for name, b := range map[string][]byte{
		"empty":               nil,
		"JSON":                []byte(`{"name":"a foreign value"}`),
		"cut header":          good[:envLeast-1],
		"cut value":           good[:len(good)-1],
		"grown":               append(bytes.Clone(good), 0),
		"later version":       change(1, envVersion+1),
		"kind 0":              change(2, 0),
		"kind 3":              change(2, 3),
		"header too short":    change(3, envLeast-1),
		"header over the end": change(3, byte(len(good)+1)),
		"absence with value":  change(2, byte(kindAbsent)),
	} {
		_, err := openEnvelope(b, key, 100)
		require.ErrorIs(t, err, errCorrupt, name)
	}
	_, err := openEnvelope(good, key, 4)
	require.ErrorIs(t, err, errTooLarge, "over the limit")
}

// A later writer of this version may lengthen the header; this reader skips it.
func TestEnvelopeSkipsLaterFields(t *testing.T) {
	b := newEnvelope(kindValue, time.UnixMilli(5), life{}, 0)
	b[3] = envHeader + 4
	b = append(b, "softvalue"...)
	sealEnvelope(b, "k")
	e, err := openEnvelope(b, "k", 100)
	require.NoError(t, err)
	require.Equal(t, "value", string(e.payload))
}

// The bytes of the first writers of this version, and of those of now: a change of either shows.
func TestEnvelopeGolden(t *testing.T) {
	const key = "users:42"
	old, err := hex.DecodeString("d7010110" + "0000018bcfe56800" + "d399624b" + hex.EncodeToString([]byte("value")))
	require.NoError(t, err)
	e, err := openEnvelope(old, key, 100)
	require.NoError(t, err)
	require.Equal(t, "value", string(e.payload))
	require.EqualValues(t, 1_700_000_000_000, e.written.UnixMilli())
	require.Zero(t, e.life, "it has no times of its own")

	b := newEnvelope(kindValue, time.UnixMilli(1_700_000_000_000), life{
		soft: 90*time.Second + 5*time.Millisecond, hard: 10 * time.Minute, keep: 100 * 365 * 24 * time.Hour, cost: 1234 * time.Microsecond,
	}, 5)
	b = append(b, "value"...)
	sealEnvelope(b, key)
	require.Equal(t, "d7010126"+"0000018bcfe56800"+"4a1d807c"+
		"000000015f95"+"0000000927c0"+"02de41353000"+"000004d2"+hex.EncodeToString([]byte("value")), hex.EncodeToString(b))

	// What does not fit is cut, not wrapped.
	b = newEnvelope(kindValue, time.UnixMilli(0), life{soft: -1, hard: math.MaxInt64, cost: 100 * time.Hour}, 0)
	sealEnvelope(b, key)
	e, err = openEnvelope(b, key, 100)
	require.NoError(t, err)
	require.Zero(t, e.soft)
	require.Equal(t, time.Duration(math.MaxInt64).Truncate(time.Millisecond), e.hard)
	require.Equal(t, time.Duration(math.MaxUint32)*time.Microsecond, e.cost)
	for i := 16; i < 34; i++ {
		b[i] = 0xff
	}
	sealEnvelope(b, key)
	e, err = openEnvelope(b, key, 100)
	require.NoError(t, err)
	require.Equal(t, e.hard, time.Duration(math.MaxInt64).Truncate(time.Millisecond), "longer than a Duration")
}

func FuzzOpenEnvelope(f *testing.F) {
	f.Add([]byte(nil), "k")
	f.Add(sealed(kindValue, "k", time.UnixMilli(1), []byte("v")), "k")
	f.Add(sealed(kindAbsent, "k", time.UnixMilli(-1), nil), "k")
	f.Add([]byte("\xd7\x01\x01\x10\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x00\x00v"), "k")
	f.Add([]byte{envMagic, envVersion, 1, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		before := bytes.Clone(b)
		e, err := openEnvelope(b, key, 64)
		require.True(t, bytes.Equal(before, b), "the input was changed")
		if err != nil {
			require.ErrorIs(t, err, errCorrupt)
			return
		}
		require.LessOrEqual(t, len(e.payload), 64)
		for _, d := range []time.Duration{e.soft, e.hard, e.keep, e.cost} {
			require.GreaterOrEqual(t, d, time.Duration(0))
		}
		require.Equal(t, binary.BigEndian.Uint32(b[12:]), envelopeSum(b, key))
		require.Equal(t, len(b), int(b[3])+len(e.payload))
	})
}
