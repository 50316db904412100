package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The file is a log in pages of 4096 bytes: two heads, and frames (frame.go), one for each commit. What counts is the
// newest generation, a stretch of frames one behind the other; a head says where it begins:
//
//	0:16   "memherd journal\n"
//	16:20  format, big-endian as all numbers here
//	20:28  generation, from 1
//	28:36  its first byte in the file
//	36:44  its salt, with which each of its frames begins
//	44:52  Version.Writer
//	52:60  to where its frames have been synced before this was written: where one of them is not whole, it has gone bad
//	60:64  CRC-32C of what is above
//
// Both heads say the same, but for moments of a change of generation, where one of them may be torn or one behind, and of Close: the
// second is written when the first is on the disk. So one that goes bad later does not bring an old generation back.
//
// A page that has been synced is not written again while its generation counts, so that no write that was accepted
// lies in a sector that a failure of power could tear.
const (
	pageSize  = 4096
	firstPage = 2 * pageSize // behind the heads
	magic     = "memherd journal\n"
	format    = 2
	headSize  = 64
)

var errForeign = errors.New("it does not begin as a journal does")

type head struct {
	generation uint64
	start      int64
	salt       uint64
	writer     uint64
	reach      int64 // its frames are whole at least to here: they were synced before this was written
}

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func (h head) encode() []byte {
	b := make([]byte, 0, pageSize)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, format)
	b = binary.BigEndian.AppendUint64(b, h.generation)
	b = binary.BigEndian.AppendUint64(b, uint64(h.start))
	b = binary.BigEndian.AppendUint64(b, h.salt)
	b = binary.BigEndian.AppendUint64(b, h.writer)
	b = binary.BigEndian.AppendUint64(b, uint64(h.reach))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:pageSize]
}

// decodeHead returns errForeign for what is no head, errDamaged for one whose sum is wrong, and an error for one of another format.
func decodeHead(b []byte) (h head, err error) {
	if len(b) < headSize || string(b[:16]) != magic {
		return h, errForeign
	}
	if v := binary.BigEndian.Uint32(b[16:]); v > format {
		return h, newerError(v)
	}
	if binary.BigEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, fmt.Errorf("%w: its head has a wrong sum", errDamaged)
	}
	h.generation = binary.BigEndian.Uint64(b[20:])
	h.start = int64(binary.BigEndian.Uint64(b[28:]))
	h.salt = binary.BigEndian.Uint64(b[36:])
	h.writer = binary.BigEndian.Uint64(b[44:])
	h.reach = int64(binary.BigEndian.Uint64(b[52:]))
	if h.start < firstPage || h.start%pageSize != 0 {
		return h, fmt.Errorf("%w: its head says that it begins at byte %d", errDamaged, h.start)
	}
	return h, nil
}

// newerError is the format of a file that a newer version of this package wrote.
type newerError uint32

func (e newerError) Error() string {
	return fmt.Sprintf("its format is %d, this program knows %d", uint32(e), format)
}

// readHead returns the newer of the two heads that are whole.
func readHead(r io.ReaderAt) (head, error) {
	b := make([]byte, firstPage)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return head{}, err
	}
	b = b[:n]
	var best head
	var errs [2]error
	for i := range errs {
		var h head
		h, errs[i] = decodeHead(b[min(i*pageSize, n):min((i+1)*pageSize, n)])
		if errs[i] == nil && h.generation > best.generation { // of two of one generation the first: it is written first
			best = h
		}
	}
	switch {
	case best.generation > 0:
		return best, nil
	case errors.As(errs[0], new(newerError)):
		return best, errs[0]
	case isBolt(b):
		return best, errBolt
	case errors.Is(errs[0], errDamaged):
		return best, errs[0]
	}
	return best, errs[1]
}

var errBolt = errors.New("it is a bbolt database, as journals were before memherd's own format")

// isBolt knows a bbolt database by the magic number of its first page.
func isBolt(b []byte) bool {
	return len(b) > 20 && bytes.Equal(b[16:20], []byte{0xed, 0xda, 0x0c, 0xed})
}
