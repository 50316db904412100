package item

// MaxKeyLen is the longest key a memcached node takes, in bytes.
const MaxKeyLen = 250

// CheckKey returns ErrMalformedKey unless key can stand on a command line as it is: 1
// to 250 bytes, none of them <= 0x20 or 0x7f. A key that passes can't end its line or
// start another command, whatever it was made from. There is no way to switch the
// check off: a client with Config.Keys set to AnyKeys sends all other keys encoded.
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > MaxKeyLen || !PlainBytes(key) {
		return ErrMalformedKey
	}
	return nil
}

// PlainBytes reports whether s has no byte <= 0x20 and no 0x7f, so that it is one
// word to a node.
func PlainBytes(s string) bool {
	// Eight bytes at a time: in (x-0x21)&^x the top bit of the lowest byte under 0x21
	// is set, and a byte of 0x7f is one of 0 after the exclusive or.
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		del := x ^ 0x7f*ones
		if ((x-0x21*ones)&^x|(del-ones)&^del)&tops != 0 {
			return false
		}
		s = s[8:]
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
