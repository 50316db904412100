package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// A file of any content is refused, or is a journal that can be written and read again. Sums are made right, which chance
// does not get past: heads' and, where the pages say how long they are, frames'.
func FuzzJournal(f *testing.F) {
	h := head{generation: 3, start: firstPage, salt: 99, writer: 7}
	heads := append(h.encode(), h.encode()...)
	add := func(build func(f *frame)) {
		var fr frame
		fr.begin(h.salt, loader.Version{Seq: 5})
		build(&fr)
		f.Add(append(append([]byte{}, heads...), fr.end()...))
	}
	f.Add([]byte{})
	f.Add(heads)
	add(func(*frame) {})
	add(func(f *frame) {
		f.strike(4)
		f.add(loader.Record{Key: "k", Value: []byte("v"), Version: loader.Version{Seq: 5}})
	})
	add(func(f *frame) { f.copy(5, []byte("no record")) })
	f.Fuzz(func(t *testing.T, b []byte) {
		for at := 0; at < len(b); at += pageSize {
			switch page := b[at:]; {
			case at < firstPage && len(page) >= headSize:
				binary.BigEndian.PutUint32(page[60:], crc32.Checksum(page[:60], castagnoli))
			case at >= firstPage:
				if n, ok := frameLength(page, 99); ok && n <= int64(len(page)) {
					binary.BigEndian.PutUint32(page[8:], frameSum(page[:n]))
				}
			}
		}
		m := &memStore{data: b}
		l, err := openLog(m, int64(len(b)), small)
		if err != nil {
			var newer newerError
			require.True(t, errors.Is(err, errDamaged) || errors.Is(err, errForeign) || errors.Is(err, errBolt) || errors.As(err, &newer), err)
			return
		}
		had := 0
		require.NoError(t, l.load(func(loader.Record) error { had++; return nil }))
		seq := l.clock.Seq + 1
		require.NoError(t, l.commit(change{put: []loader.Record{{Key: "k", Version: loader.Version{Seq: seq}}}, clock: loader.Version{Seq: seq}}))
		require.NoError(t, l.close())
		l, err = openLog(m, int64(len(m.data)), small)
		require.NoError(t, err)
		has := 0
		require.NoError(t, l.load(func(loader.Record) error { has++; return nil }))
		if seq > 0 { // it has begun at 0 again
			require.Equal(t, had+1, has)
		}
	})
}
