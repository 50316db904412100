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
		f.Add(r.Version.Seq, appendRecord(nil, r), false)
	}
	f.Add(uint64(0), []byte{}, false)
	f.Add(uint64(0), make([]byte, recordHead), true)
	f.Fuzz(func(t *testing.T, seq uint64, b []byte, right bool) {
		if right && len(b) >= recordHead { // what nobody gets past the sum by chance
			binary.BigEndian.PutUint32(b, sum(seq, b))
		}
		r, err := decode(seq, b)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		require.Equal(t, b, appendRecord(nil, r), "one record has one encoding")
	})
}

// No bit of a record can change unnoticed, and none can be cut off.
func TestEveryBitCounts(t *testing.T) {
	r := loader.Record{Key: "key", Value: []byte("value"), Version: loader.Version{Seq: 300, Time: time.Unix(1, 2)}}
	const seq = 300
	b := appendRecord(nil, r)
	got, err := decode(seq, b)
	require.NoError(t, err)
	require.Equal(t, r, got)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		_, err := decode(seq, b)
		require.ErrorIs(t, err, errDamaged)
		b[i/8] ^= 1 << (i % 8)
	}
	for i := range 64 {
		_, err := decode(seq^1<<i, b)
		require.ErrorIs(t, err, errDamaged)
	}
	for n := range b {
		_, err := decode(seq, b[:n])
		require.ErrorIs(t, err, errDamaged)
	}
}

func TestSizes(t *testing.T) {
	require.NoError(t, checkSizes(1, 0))
	require.NoError(t, checkSizes(maxKey, maxValue))
	require.ErrorContains(t, checkSizes(0, 1), "a key of 0 bytes")
	require.ErrorContains(t, checkSizes(maxKey+1, 1), "a key of 65536 bytes")
	require.ErrorContains(t, checkSizes(1, maxValue+1), "a value of 1073741825 bytes: 1073741824 at most")
}
