package item

// MaxKeyLen is the longest key a memcached node takes, in bytes.
const MaxKeyLen = 250

// CheckKey returns ErrMalformedKey unless key can stand on a command line: 1 to 250
// bytes, none of them <= 0x20 or 0x7f. A key that passes can't end its line or
// start another command, whatever it was made from. There is no way to switch the
// check off.
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > MaxKeyLen {
		return ErrMalformedKey
	}
	for i := 0; i < len(key); i++ {
		if b := key[i]; b <= ' ' || b == 0x7f {
			return ErrMalformedKey
		}
	}
	return nil
}
