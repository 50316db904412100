package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/memherd/memherd/loader"
)

// A record stands under its Seq, 8 bytes, big-endian, as
//
//	0:4    CRC-32C of the Seq and of everything behind the sum, big-endian
//	4      1 a value, 2 a delete
//	5:13   Version.Time, nanoseconds since 1970, big-endian
//	13:15  length of the key k, big-endian
//	15:    the key, and behind it the value
//
// bbolt sums its head and no page: the sum here is for disks that lie.
const (
	recordHead = 15
	maxKey     = 1<<16 - 1

	kindValue   = 1
	kindDeleted = 2
)

var (
	errDamaged = errors.New("a record is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func encode(r loader.Record) []byte {
	b := make([]byte, recordHead, recordHead+len(r.Key)+len(r.Value))
	b[4] = kindValue
	if r.Deleted {
		b[4] = kindDeleted
	}
	binary.BigEndian.PutUint64(b[5:], uint64(r.Version.Time.UnixNano()))
	binary.BigEndian.PutUint16(b[13:], uint16(len(r.Key)))
	b = append(b, r.Key...)
	if !r.Deleted {
		b = append(b, r.Value...)
	}
	binary.BigEndian.PutUint32(b, sum(r.Version.Seq, b))
	return b
}

func sum(seq uint64, b []byte) uint32 {
	var k [8]byte
	binary.BigEndian.PutUint64(k[:], seq)
	return crc32.Update(crc32.Update(0, castagnoli, k[:]), castagnoli, b[4:])
}

// decode reads what encode wrote, into memory of its own. The Writer is not in it.
func decode(key, b []byte) (r loader.Record, err error) {
	if len(key) != 8 || len(b) < recordHead {
		return r, fmt.Errorf("%w: %d bytes under a number of %d", errDamaged, len(b), len(key))
	}
	r.Version.Seq = binary.BigEndian.Uint64(key)
	n := recordHead + int(binary.BigEndian.Uint16(b[13:]))
	switch {
	case binary.BigEndian.Uint32(b) != sum(r.Version.Seq, b):
		return r, fmt.Errorf("%w: record %d has a wrong sum", errDamaged, r.Version.Seq)
	case n > len(b) || n == recordHead:
		return r, fmt.Errorf("%w: record %d has a key of %d bytes", errDamaged, r.Version.Seq, n-recordHead)
	case b[4] != kindValue && b[4] != kindDeleted || b[4] == kindDeleted && n != len(b):
		return r, fmt.Errorf("%w: record %d is of kind %d", errDamaged, r.Version.Seq, b[4])
	}
	r.Version.Time = time.Unix(0, int64(binary.BigEndian.Uint64(b[5:])))
	r.Key = string(b[recordHead:n])
	if r.Deleted = b[4] == kindDeleted; !r.Deleted {
		r.Value = append([]byte{}, b[n:]...)
	}
	return r, nil
}

func newJournal(path string, d disk) *Journal {
	j := &Journal{path: path, disk: d, live: make(map[string]uint64), crowd: crowd{there: make(chan struct{}, 1)}}
	j.quiet = sync.NewCond(&j.mu)
	return j
}
