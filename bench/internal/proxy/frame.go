package proxy

import (
	"bytes"
	"strconv"
)

// maxValue is the largest data block that a line is believed to announce.
const maxValue = 128 << 20

// replyLen is the length of the first reply in b, text or meta protocol; 0 if it is not
// all there yet. The items of a get and the lines of a stats are one reply with the END
// behind them.
func replyLen(b []byte) int {
	for i := 0; ; {
		eol := bytes.IndexByte(b[i:], '\n')
		if eol < 0 {
			return 0
		}
		line := b[i : i+eol+1]
		i += eol + 1
		item := bytes.HasPrefix(line, []byte("VALUE "))
		switch {
		case item, bytes.HasPrefix(line, []byte("VA ")):
			field := 1
			if item {
				field = 3
			}
			size, ok := number(line, field)
			if !ok {
				return i
			}
			if i += size + len("\r\n"); i > len(b) {
				return 0
			}
			if !item {
				return i
			}
		case bytes.HasPrefix(line, []byte("STAT ")):
		default:
			return i
		}
	}
}

// number is a field of a line, the first being field 0.
func number(line []byte, field int) (int, bool) {
	f := bytes.Fields(line)
	if field >= len(f) {
		return 0, false
	}
	n, err := strconv.Atoi(string(f[field]))
	return n, err == nil && n >= 0 && n <= maxValue
}
