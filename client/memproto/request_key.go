package memproto

import "encoding/base64"

// MaxEncodedKeyLen is the longest base64 text AppendKey64 makes of a key.
const MaxEncodedKeyLen = (MaxKeyLen + 2) / 3 * 4

// base64Value maps a byte to its six bits; 64 is the padding sign, 255 anything else.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['='] = 64
	return t
}()

// DecodeKey64 decodes the base64 key of a request with the flag b into dst, which
// must hold MaxKeyLen bytes, and returns the key's length. Like memcached it passes
// over bytes that are not base64, wants a multiple of four of those that are, and looks at
// none behind a padded four; false means that key is no base64.
func DecodeKey64(dst, key []byte) (int, bool) {
	var quad uint32
	n, count, pad, ended := 0, 0, 0, false
	for _, c := range key {
		v := base64Value[c]
		if v == 255 {
			continue
		}
		count++
		if ended {
			continue // but the total still has to be a multiple of four
		}
		if v == 64 {
			pad++
			v = 0
		}
		quad = quad<<6 | uint32(v)
		if count%4 != 0 {
			continue
		}
		ended = pad > 0
		if pad > 2 {
			return 0, false
		}
		for i := range 3 - pad {
			if n == len(dst) {
				return 0, false
			}
			dst[n] = byte(quad >> (16 - 8*i))
			n++
		}
		quad = 0
	}
	return n, n > 0 && count%4 == 0
}

// AppendKey64 appends the base64 text of key, as replies show binary keys.
func AppendKey64(dst, key []byte) []byte {
	return base64.StdEncoding.AppendEncode(dst, key)
}
