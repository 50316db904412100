package memproto

// Value is what a line of the answer to a get says: VALUE <key> <flags> <bytes>.
type Value struct {
	// Key points into the buffer.
	Key []byte
	// Flags are the client flags.
	Flags uint32
	// BodyLen is the length of the data block that follows the line, behind which there is a CRLF.
	BodyLen int
	// LineLen is the length of the line, with its end.
	LineLen int
}

// DecodeValue reads the line at the front of buf if it is plainly one of those that a get is answered with, each of its
// words behind one space and CRLF behind the last. Of any other, of an incomplete one, of one with a CAS value and of
// one that breaks a limit it says false: DecodeResponse decides then. It takes a third of that one's time.
func DecodeValue(buf []byte, lim *Limits) (v Value, ok bool) {
	const word = "VALUE "
	if len(buf) < len(word) || string(buf[:len(word)]) != word {
		return v, false
	}
	i := len(word)
	for i < len(buf) && buf[i] > ' ' {
		i++
	}
	if i == len(word) || i == len(buf) || buf[i] != ' ' {
		return v, false
	}
	v.Key = buf[len(word):i]
	flags, i, ok := digits(buf, i+1, ' ')
	if !ok || flags > 1<<32-1 {
		return v, false
	}
	size, i, ok := digits(buf, i+1, '\r')
	if !ok || size > uint64(lim.responseValue()) || i+1 == len(buf) || buf[i+1] != '\n' || i > lim.responseLine() {
		return v, false
	}
	v.Flags, v.BodyLen, v.LineLen = uint32(flags), int(size), i+2
	return v, true
}

// digits reads a number of at most ten digits at buf[i:], and returns the position of end, which must stand behind it.
func digits(buf []byte, i int, end byte) (n uint64, at int, ok bool) {
	start := i
	for ; i < len(buf); i++ {
		d := buf[i] - '0'
		if d > 9 {
			return n, i, buf[i] == end && i > start && i-start <= 10
		}
		n = n*10 + uint64(d) // a number that is too long for it is refused
	}
	return n, i, false
}
