// Package value makes values that can be recognised: each carries the key it
// belongs to, a version, and a checksum over everything. Whoever reads one can
// tell a value of another key, an older version and a damaged byte from the right
// answer, whatever the cache did.
package value

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Layout: checksum (8 bytes, xxhash64 of all that follows), version (8), length of
// the key (2), the key, filler. Numbers are little endian.
const header = 18

// MinSize is the smallest value that can carry the key.
func MinSize(key string) int { return header + len(key) }

// Make returns the value of a key in a version, size bytes long, or MinSize if that
// is more. The filler depends on key and version, so that no two values share a
// tail.
func Make(key string, version uint64, size int) []byte {
	b := make([]byte, max(size, MinSize(key)))
	binary.LittleEndian.PutUint64(b[8:], version)
	binary.LittleEndian.PutUint16(b[16:], uint16(len(key)))
	n := header + copy(b[header:], key)
	x := xxhash.Sum64String(key) ^ version
	for ; n < len(b); n++ {
		// xorshift64 (Marsaglia 2003): cheap and never stuck on a period of one.
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[n] = byte(x)
	}
	binary.LittleEndian.PutUint64(b, xxhash.Sum64(b[8:]))
	return b
}

// ErrWrong is what every failed Check is.
var ErrWrong = errors.New("wrong value")

// Check returns the version of a value that belongs to key, or an error that wraps
// ErrWrong and says what is wrong with it.
func Check(key string, b []byte) (version uint64, err error) {
	if len(b) < header {
		return 0, fmt.Errorf("%w: %d bytes are too short to be a value of this bench", ErrWrong, len(b))
	}
	if binary.LittleEndian.Uint64(b) != xxhash.Sum64(b[8:]) {
		return 0, fmt.Errorf("%w: its checksum does not match its %d bytes", ErrWrong, len(b))
	}
	n := int(binary.LittleEndian.Uint16(b[16:]))
	if n > len(b)-header || string(b[header:header+n]) != key {
		return 0, fmt.Errorf("%w: it belongs to another key", ErrWrong)
	}
	return binary.LittleEndian.Uint64(b[8:]), nil
}
