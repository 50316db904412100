package loader

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sealed(k kind, key string, at time.Time, payload []byte) []byte {
	b := append(newEnvelope(k, at), payload...)
	sealEnvelope(b, key)
	return b
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		key := rapid.StringN(1, 250, 250).Draw(t, "key")
		at := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "ms"))
		b := sealed(kindValue, key, at, payload)
		e, err := openEnvelope(b, key, len(payload))
		require.NoError(t, err)
		require.Equal(t, kindValue, e.kind)
		require.True(t, at.Equal(e.written))
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
		"cut header":          good[:envHeader-1],
		"cut value":           good[:len(good)-1],
		"grown":               append(bytes.Clone(good), 0),
		"later version":       change(1, envVersion+1),
		"kind 0":              change(2, 0),
		"kind 3":              change(2, 3),
		"header too short":    change(3, envHeader-1),
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
	b := newEnvelope(kindValue, time.UnixMilli(5))
	b[3] = envHeader + 4
	b = append(b, "softvalue"...)
	sealEnvelope(b, "k")
	e, err := openEnvelope(b, "k", 100)
	require.NoError(t, err)
	require.Equal(t, "value", string(e.payload))
}

func FuzzOpenEnvelope(f *testing.F) {
	f.Add([]byte(nil), "k")
	f.Add(sealed(kindValue, "k", time.UnixMilli(1), []byte("v")), "k")
	f.Add(sealed(kindAbsent, "k", time.UnixMilli(-1), nil), "k")
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
		require.Equal(t, binary.BigEndian.Uint32(b[12:]), envelopeSum(b, key))
		require.Equal(t, len(b), int(b[3])+len(e.payload))
	})
}
