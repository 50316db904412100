package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/memherd/memherd/loader"
)

// A frame is one commit. It begins at a page, and the rest of its last page is zero:
//
//	0:8    the generation's salt
//	8:12   CRC-32C of the salt and of what follows, to the frame's end: a torn page may have the salt, and behind it a frame that was there before
//	12:20  its length without the zeros
//	20:36  the last version's Seq and Time, nanoseconds since 1970
//	36:40  number of records
//	40:44  number of records struck out
//	44:    their Seqs, 8 bytes each; then the records, in the order of Seq, each: Seq, 8 bytes; length, 4; what record.go encodes
//
// The salt is random and nowhere but here and in the heads. So a page that begins with it is one of this generation's frames:
// none of an older generation whose room this one uses again, and no value that looks like a frame, on purpose or not.
const (
	frameHead  = 44
	recordLead = 12
)

// frame is built by begin, any number of strike, any number of add or copy, and end.
type frame struct {
	b       []byte
	records uint32
	strikes uint32
}

func (f *frame) begin(salt uint64, clock loader.Version) {
	b := binary.BigEndian.AppendUint64(f.b[:0], salt)
	b = append(b, make([]byte, 12)...)
	b = binary.BigEndian.AppendUint64(b, clock.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(clock.Time.UnixNano()))
	f.b = append(b, make([]byte, 8)...)
	f.records, f.strikes = 0, 0
}

func (f *frame) strike(seq uint64) {
	f.b = binary.BigEndian.AppendUint64(f.b, seq)
	f.strikes++
}

// add appends r and returns where in the frame its encoding is.
func (f *frame) add(r loader.Record) (from, to int) {
	f.b = binary.BigEndian.AppendUint64(f.b, r.Version.Seq)
	f.b = append(f.b, 0, 0, 0, 0)
	from = len(f.b)
	f.b = appendRecord(f.b, r)
	return f.added(from)
}

// copy is add for what an earlier add has encoded.
func (f *frame) copy(seq uint64, encoded []byte) (from, to int) {
	f.b = binary.BigEndian.AppendUint64(f.b, seq)
	f.b = append(f.b, 0, 0, 0, 0)
	from = len(f.b)
	f.b = append(f.b, encoded...)
	return f.added(from)
}

func (f *frame) added(from int) (int, int) {
	to := len(f.b)
	binary.BigEndian.PutUint32(f.b[from-4:], uint32(to-from))
	f.records++
	return from, to
}

// end returns the frame, which is f's until the next begin.
func (f *frame) end() []byte {
	binary.BigEndian.PutUint64(f.b[12:], uint64(len(f.b)))
	binary.BigEndian.PutUint32(f.b[36:], f.records)
	binary.BigEndian.PutUint32(f.b[40:], f.strikes)
	binary.BigEndian.PutUint32(f.b[8:], frameSum(f.b))
	if rest := len(f.b) % pageSize; rest > 0 {
		f.b = append(f.b, make([]byte, pageSize-rest)...)
	}
	return f.b
}

// frameLength is how long the frame that b begins is, without its zeros; ok is false for what is no frame of the generation.
func frameLength(b []byte, salt uint64) (n int64, ok bool) {
	if len(b) < frameHead || binary.BigEndian.Uint64(b) != salt {
		return 0, false
	}
	n = int64(binary.BigEndian.Uint64(b[12:]))
	return n, n >= frameHead
}

func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:8], castagnoli), castagnoli, b[12:])
}

// frameWhole says whether b, a frame without its zeros, has the right sum.
func frameWhole(b []byte) bool {
	return len(b) >= frameHead && binary.BigEndian.Uint32(b[8:]) == frameSum(b)
}

// readFrame tells what is in a frame that is whole: each record and where it is encoded, then the Seqs that are struck out.
func readFrame(b []byte, put func(seq uint64, from, to int) error, strike func(seq uint64)) (clock loader.Version, err error) {
	wrong := func(what string) (loader.Version, error) {
		return clock, fmt.Errorf("%w: a commit %s", errDamaged, what)
	}
	clock.Seq = binary.BigEndian.Uint64(b[20:])
	clock.Time = time.Unix(0, int64(binary.BigEndian.Uint64(b[28:])))
	records, strikes := int64(binary.BigEndian.Uint32(b[36:])), int64(binary.BigEndian.Uint32(b[40:]))
	at := frameHead + 8*strikes
	if at > int64(len(b)) {
		return wrong("strikes out more than it holds")
	}
	for range records {
		if int64(len(b))-at < recordLead {
			return wrong("ends within a record")
		}
		seq, n := binary.BigEndian.Uint64(b[at:]), int64(binary.BigEndian.Uint32(b[at+8:]))
		if seq > clock.Seq {
			return clock, fmt.Errorf("%w: record %d is behind its commit's clock, %d", errDamaged, seq, clock.Seq)
		}
		at += recordLead
		if n > int64(len(b))-at {
			return wrong("ends within a record")
		}
		if err := put(seq, int(at), int(at+n)); err != nil {
			return clock, err
		}
		at += n
	}
	if at != int64(len(b)) {
		return wrong("has something behind its records")
	}
	for i := range strikes {
		strike(binary.BigEndian.Uint64(b[frameHead+8*i:]))
	}
	return clock, nil
}
