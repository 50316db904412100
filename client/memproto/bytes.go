package memproto

import "unsafe"

// This is the module's one file with unsafe in it.

// StringBytes returns the bytes of s without copying them, so that a key given as a
// string can stand in Request.Key. The result must not be written to: strings are
// immutable and may lie in read-only memory. Encoders only read it.
func StringBytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
