package memproto

import "math"

// The numbers of requests come in two kinds, because memcached reads some with its
// tokenizer (strict, and parseUint and parseInt do it) and some with C's strtol
// family (loose): those skip white space other than the space that ends a token,
// take a sign, and stop at white space.

// maxBodyLen is the longest data block a line can announce: memcached counts the
// CRLF with it in a C int.
const maxBodyLen = math.MaxInt32 - 2

func isCSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// looseDigits reads [space][sign]digits[space…] and returns sign and magnitude.
func looseDigits(b []byte) (neg bool, n uint64, ok bool) {
	i := 0
	for i < len(b) && isCSpace(b[i]) {
		i++
	}
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	start := i
	for ; i < len(b); i++ {
		d := uint64(b[i] - '0')
		if d > 9 {
			break
		}
		if n > (math.MaxUint64-d)/10 {
			return false, 0, false
		}
		n = n*10 + d
	}
	if i == start || i < len(b) && !isCSpace(b[i]) {
		return false, 0, false
	}
	return neg, n, true
}

// looseUint is memcached's safe_strtoull: a minus sign is only refused when the
// wrapped number has its top bit set.
func looseUint(b []byte) (uint64, bool) {
	neg, n, ok := looseDigits(b)
	if !ok {
		return 0, false
	}
	if neg {
		n = -n
		if int64(n) < 0 {
			return 0, false
		}
	}
	return n, true
}

// looseExptime is memcached's safe_strtol: read as a C long, kept as 32 bits, so
// 2147483648 turns negative and means "expired".
func looseExptime(b []byte) (int64, bool) {
	neg, n, ok := looseDigits(b)
	if !ok || n > math.MaxInt64 {
		return 0, false
	}
	v := int64(n)
	if neg {
		v = -v
	}
	return int64(int32(v)), true
}

// strictExptime is what gat and flush_all take: a number that fits 32 bits.
func strictExptime(b []byte) (int64, bool) {
	n, ok := parseInt(b)
	return n, ok && n >= math.MinInt32 && n <= math.MaxInt32
}

// bodyLen reads an announced data block length. It is compared as int64 before
// anybody allocates, skips or adds to it.
func bodyLen(b []byte) (int, bool) {
	n, ok := parseInt(b)
	if !ok || n < 0 || n > maxBodyLen {
		return 0, false
	}
	return int(n), true
}

// ParseCounter reads a stored value as incr, decr and ma do: a decimal number that
// may be followed by white space and then anything.
func ParseCounter(value []byte) (uint64, bool) { return looseUint(value) }
