package loader

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
	"unsafe"
)

// What a loader stores is an envelope, so that it can tell its own values from
// foreign ones, a value from a remembered absence, and later formats from this one:
//
//	0      magic 0xD7, which begins neither text nor JSON, gob or protobuf in practice
//	1      format version
//	2      kind: 1 a value, 2 an absence
//	3      length of the header h, 16 to 255
//	4:12   the writer's wall clock, milliseconds since 1970, big-endian
//	12:16  CRC-32C of the key, bytes 0:12 and bytes 16 to the end, big-endian
//	16:22  how long after the writing the value counts as fresh, milliseconds, big-endian
//	22:28  how long after the writing it may be served at all, likewise
//	28:34  how long the node was asked to keep it, likewise
//	34:38  what the load cost, microseconds, big-endian; 0 unknown
//	38:h   what later writers of this version add; unknown bytes are skipped
//	h:     the codec's bytes
//
// The first writers of this version ended the header at 16. They read what this one writes,
// and this one reads theirs: without times of its own, a value lives as long as its node
// keeps it. The sum covers the key: an answer to another key's request is never decoded.
const (
	envMagic   = 0xD7
	envVersion = 1
	envLeast   = 16 // the shortest header
	envHeader  = 38 // what is written
)

type kind byte

const (
	kindValue  kind = 1
	kindAbsent kind = 2
)

type envelope struct {
	kind    kind
	written time.Time
	life
	payload []byte // part of the bytes given to openEnvelope
}

// life is what an envelope says of a value's time. All zero in an old one.
type life struct {
	soft, hard, keep time.Duration // since written, in whole milliseconds
	cost             time.Duration // of the load, in whole microseconds
}

// newEnvelope returns an unsealed header with room for a payload of that many bytes, which is
// appended to it.
func newEnvelope(k kind, at time.Time, f life, room int) []byte {
	b := make([]byte, envHeader, envHeader+room)
	b[0], b[1], b[2], b[3] = envMagic, envVersion, byte(k), envHeader
	binary.BigEndian.PutUint64(b[4:], uint64(at.UnixMilli()))
	putMillis(b[16:22], f.soft)
	putMillis(b[22:28], f.hard)
	putMillis(b[28:34], f.keep)
	binary.BigEndian.PutUint32(b[34:], uint32(min(max(f.cost.Microseconds(), 0), math.MaxUint32)))
	return b
}

// putMillis writes d in 48 bits, which hold every time.Duration that is not negative.
func putMillis(b []byte, d time.Duration) {
	ms := uint64(max(d.Milliseconds(), 0))
	binary.BigEndian.PutUint16(b, uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
}

// millis reads what putMillis wrote. What is more than a Duration holds (somebody else's
// bytes) is as long as one can be.
func millis(b []byte) time.Duration {
	ms := uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// sealEnvelope writes the sum; b may not change any more.
func sealEnvelope(b []byte, key string) {
	binary.BigEndian.PutUint32(b[12:], envelopeSum(b, key))
}

// openEnvelope checks b, read under key, and returns its parts. It refuses payloads
// over limit bytes before anyone decodes them. It never allocates on success.
func openEnvelope(b []byte, key string, limit int) (e envelope, err error) {
	err = e.open(b, key, limit)
	return e, err
}

// open makes e what openEnvelope returns. A hit has it so: an envelope is a hundred bytes, copied by each of the three functions
// that would return it.
func (e *envelope) open(b []byte, key string, limit int) error {
	switch {
	case len(b) < envLeast || b[0] != envMagic:
		return fmt.Errorf("%w: no envelope", errCorrupt)
	case b[1] != envVersion:
		return fmt.Errorf("%w: envelope version %d, this program reads %d", errCorrupt, b[1], envVersion)
	}
	k, h := kind(b[2]), int(b[3])
	switch {
	case k != kindValue && k != kindAbsent:
		return fmt.Errorf("%w: unknown kind %d", errCorrupt, k)
	case h < envLeast || h > len(b):
		return fmt.Errorf("%w: header of %d bytes", errCorrupt, h)
	case len(b)-h > limit:
		return fmt.Errorf("%w: %w", errCorrupt, errTooLarge)
	case k == kindAbsent && len(b) != h:
		return fmt.Errorf("%w: an absence with a value", errCorrupt)
	case binary.BigEndian.Uint32(b[12:]) != envelopeSum(b, key):
		return fmt.Errorf("%w: wrong checksum", errCorrupt)
	}
	e.kind, e.written, e.life, e.payload = k, time.UnixMilli(int64(binary.BigEndian.Uint64(b[4:]))), life{}, b[h:]
	if h >= envHeader {
		e.life = life{
			soft: millis(b[16:22]), hard: millis(b[22:28]), keep: millis(b[28:34]),
			cost: time.Duration(binary.BigEndian.Uint32(b[34:])) * time.Microsecond,
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func envelopeSum(b []byte, key string) uint32 {
	t := castagnoli
	// The key's bytes are only read; a conversion would allocate for long keys.
	sum := crc32.Update(0, t, unsafe.Slice(unsafe.StringData(key), len(key)))
	sum = crc32.Update(sum, t, b[:12])
	return crc32.Update(sum, t, b[16:])
}
