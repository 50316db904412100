package memproto

// Flags is a set of meta flag letters: 'A'..'Z' are bits 0 to 25, 'a'..'z' bits 26
// to 51. Which letters take an argument depends on the command; the arguments are
// fields of Request and Response.
type Flags uint64

// Flag letters as sets of one, named after their letter: an L in front marks a
// lower-case letter.
const (
	FlagC Flags = 1 << ('C' - 'A')
	FlagD Flags = 1 << ('D' - 'A')
	FlagE Flags = 1 << ('E' - 'A')
	FlagF Flags = 1 << ('F' - 'A')
	FlagI Flags = 1 << ('I' - 'A')
	FlagJ Flags = 1 << ('J' - 'A')
	FlagM Flags = 1 << ('M' - 'A')
	FlagN Flags = 1 << ('N' - 'A')
	FlagO Flags = 1 << ('O' - 'A')
	FlagR Flags = 1 << ('R' - 'A')
	FlagT Flags = 1 << ('T' - 'A')
	FlagW Flags = 1 << ('W' - 'A')
	FlagX Flags = 1 << ('X' - 'A')
	FlagZ Flags = 1 << ('Z' - 'A')

	FlagLb Flags = 1 << (26 + 'b' - 'a')
	FlagLc Flags = 1 << (26 + 'c' - 'a')
	FlagLf Flags = 1 << (26 + 'f' - 'a')
	FlagLh Flags = 1 << (26 + 'h' - 'a')
	FlagLk Flags = 1 << (26 + 'k' - 'a')
	FlagLl Flags = 1 << (26 + 'l' - 'a')
	FlagLq Flags = 1 << (26 + 'q' - 'a')
	FlagLs Flags = 1 << (26 + 's' - 'a')
	FlagLt Flags = 1 << (26 + 't' - 'a')
	FlagLu Flags = 1 << (26 + 'u' - 'a')
	FlagLv Flags = 1 << (26 + 'v' - 'a')
	FlagLx Flags = 1 << (26 + 'x' - 'a')
)

// Flag returns the set holding the letter c, or 0 if c is no letter.
func Flag(c byte) Flags {
	switch {
	case c >= 'A' && c <= 'Z':
		return 1 << (c - 'A')
	case c >= 'a' && c <= 'z':
		return 1 << (26 + c - 'a')
	}
	return 0
}

// Has reports whether every letter of g is in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Letter returns the byte of the lowest letter in the set, 0 if it is empty.
func (f Flags) Letter() byte {
	for i := range 52 {
		if f&(1<<i) != 0 {
			if i < 26 {
				return 'A' + byte(i)
			}
			return 'a' + byte(i-26)
		}
	}
	return 0
}

// String lists the letters, for tests and logs.
func (f Flags) String() string {
	var b []byte
	for f != 0 {
		b = append(b, f.Letter())
		f &= f - 1
	}
	return string(b)
}
