package journal

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

func FuzzDecode(f *testing.F) {
	for _, r := range []loader.Record{
		{Key: "k", Value: []byte("value"), Version: loader.Version{Seq: 1, Time: time.Unix(1, 2)}},
		{Key: "k", Value: []byte{}, Version: loader.Version{Seq: 1 << 63, Time: time.Unix(1<<32, 0)}},
		{Key: "gone", Deleted: true, Version: loader.Version{Time: time.Unix(0, -1)}},
	} {
		f.Add(binary.BigEndian.AppendUint64(nil, r.Version.Seq), encode(r))
	}
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, 8), make([]byte, recordHead))
	f.Fuzz(func(t *testing.T, key, b []byte) {
		r, err := decode(key, b)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		require.Equal(t, b, encode(r), "one record has one encoding")
	})
}

// No bit of a record can change unnoticed, and none can be cut off.
func TestEveryBitCounts(t *testing.T) {
	r := loader.Record{Key: "key", Value: []byte("value"), Version: loader.Version{Seq: 300, Time: time.Unix(1, 2)}}
	key, b := binary.BigEndian.AppendUint64(nil, 300), encode(r)
	got, err := decode(key, b)
	require.NoError(t, err)
	require.Equal(t, r, got)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		_, err := decode(key, b)
		require.ErrorIs(t, err, errDamaged)
		b[i/8] ^= 1 << (i % 8)
	}
	for i := range 8 * len(key) {
		key[i/8] ^= 1 << (i % 8)
		_, err := decode(key, b)
		require.ErrorIs(t, err, errDamaged)
		key[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		_, err := decode(key, b[:n])
		require.ErrorIs(t, err, errDamaged)
	}
}
