package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/memherd/memherd/loader"
)

// A record is, behind its Seq and length in its frame,
//
//	0:4    CRC-32C of the Seq and of everything behind the sum, big-endian
//	4      1 a value, 2 a delete
//	5:13   Version.Time, nanoseconds since 1970, big-endian
//	13:15  length of the key k, big-endian
//	15:    the key, and behind it the value
//
// The sum goes with it when it is copied from one generation to the next.
const (
	recordHead = 15
	maxKey     = 1<<16 - 1
	maxValue   = 1 << 30

	kindValue   = 1
	kindDeleted = 2
)

var (
	errDamaged = errors.New("it is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// checkSizes refuses what a frame has no numbers for.
func checkSizes(key, value int) error {
	switch {
	case key < 1 || key > maxKey:
		return fmt.Errorf("journal: a key of %d bytes: 1 to %d are allowed", key, maxKey)
	case value > maxValue:
		return fmt.Errorf("journal: a value of %d bytes: %d at most are allowed", value, maxValue)
	}
	return nil
}

func appendRecord(b []byte, r loader.Record) []byte {
	from := len(b)
	kind := byte(kindValue)
	if r.Deleted {
		kind = kindDeleted
	}
	b = append(b, 0, 0, 0, 0, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Version.Time.UnixNano()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Key)))
	b = append(b, r.Key...)
	if !r.Deleted {
		b = append(b, r.Value...)
	}
	binary.BigEndian.PutUint32(b[from:], sum(r.Version.Seq, b[from:]))
	return b
}

func sum(seq uint64, b []byte) uint32 {
	var k [8]byte
	binary.BigEndian.PutUint64(k[:], seq)
	return crc32.Update(crc32.Update(0, castagnoli, k[:]), castagnoli, b[4:])
}

// checkRecord says whether decode will find nothing wrong.
func checkRecord(seq uint64, b []byte) error {
	if len(b) < recordHead {
		return fmt.Errorf("%w: record %d has %d bytes", errDamaged, seq, len(b))
	}
	n := recordHead + int(binary.BigEndian.Uint16(b[13:]))
	switch {
	case binary.BigEndian.Uint32(b) != sum(seq, b):
		return fmt.Errorf("%w: record %d has a wrong sum", errDamaged, seq)
	case n > len(b) || n == recordHead:
		return fmt.Errorf("%w: record %d has a key of %d bytes", errDamaged, seq, n-recordHead)
	case b[4] != kindValue && b[4] != kindDeleted || b[4] == kindDeleted && n != len(b):
		return fmt.Errorf("%w: record %d is of kind %d", errDamaged, seq, b[4])
	}
	return nil
}

// decode reads what appendRecord wrote, into memory of its own. The Writer is not in it.
func decode(seq uint64, b []byte) (r loader.Record, err error) {
	if err := checkRecord(seq, b); err != nil {
		return r, err
	}
	n := recordHead + int(binary.BigEndian.Uint16(b[13:]))
	r.Version.Seq = seq
	r.Version.Time = time.Unix(0, int64(binary.BigEndian.Uint64(b[5:])))
	r.Key = string(b[recordHead:n])
	if r.Deleted = b[4] == kindDeleted; !r.Deleted {
		r.Value = append([]byte{}, b[n:]...)
	}
	return r, nil
}
