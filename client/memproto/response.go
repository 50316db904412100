package memproto

// Status is the code a reply line starts with.
type Status uint8

// Reply codes. StatusUnknown is the zero value.
const (
	StatusUnknown Status = iota
	StatusHD             // meta: done, or hit without value
	StatusVA             // meta: value follows
	StatusEN             // mg, me: miss
	StatusNF             // meta: not found
	StatusNS             // meta: not stored
	StatusEX             // meta: CAS mismatch
	StatusMN             // mn
	StatusME             // me
	StatusStored
	StatusNotStored
	StatusExists
	StatusNotFound
	StatusDeleted
	StatusTouched
	StatusOK
	StatusEnd
	StatusValue       // classic VALUE line, a data block follows
	StatusNumber      // classic incr, decr: the number is in Number
	StatusStat        // STAT name value: Key and Message
	StatusVersion     // VERSION text: Message
	StatusReset       // stats reset: RESET
	StatusError       // ERROR
	StatusClientError // CLIENT_ERROR text: Message
	StatusServerError // SERVER_ERROR text: Message

	numStatuses
)

var statusWords = [numStatuses]string{
	StatusUnknown: "?", StatusHD: "HD", StatusVA: "VA", StatusEN: "EN", StatusNF: "NF",
	StatusNS: "NS", StatusEX: "EX", StatusMN: "MN", StatusME: "ME",
	StatusStored: "STORED", StatusNotStored: "NOT_STORED", StatusExists: "EXISTS",
	StatusNotFound: "NOT_FOUND", StatusDeleted: "DELETED", StatusTouched: "TOUCHED",
	StatusOK: "OK", StatusEnd: "END", StatusValue: "VALUE", StatusNumber: "#",
	StatusStat: "STAT", StatusVersion: "VERSION", StatusReset: "RESET",
	StatusError: "ERROR", StatusClientError: "CLIENT_ERROR", StatusServerError: "SERVER_ERROR",
}

// String is the word on the wire ("#" for a number).
func (s Status) String() string {
	if s < numStatuses {
		return statusWords[s]
	}
	return "?"
}

// IsError reports whether s is ERROR, CLIENT_ERROR or SERVER_ERROR. Such lines
// carry no opaque.
func (s Status) IsError() bool {
	return s == StatusError || s == StatusClientError || s == StatusServerError
}

// Response is one reply line, typed. For meta replies a field counts only if its
// letter is in Flags. Byte slices of a decoded Response point into the decoder's
// input.
type Response struct {
	Status Status
	// Flags holds the letters of a meta reply's flags, W, X and Z among them.
	Flags Flags
	// Key: meta k, VALUE's key, STAT's name, ME's key.
	Key []byte
	// Opaque: meta O.
	Opaque []byte
	// ClientFlags: meta f, VALUE's flags.
	ClientFlags uint32
	// CAS: meta c, VALUE's cas of gets (HasCAS).
	CAS    uint64
	HasCAS bool
	// TTL: meta t in seconds, -1 for no expiry.
	TTL int64
	// Size: meta s.
	Size int64
	// LastAccess: meta l, seconds since the last access. Hit: meta h.
	LastAccess int64
	Hit        bool
	// Number: the result of classic incr and decr.
	Number uint64
	// Message: the text of an error line, STAT's value, VERSION's text, ME's rest.
	Message []byte
	// BodyLen is the length of the data block that follows the line, without its
	// CRLF; -1 when there is none.
	BodyLen int
	// Value is the data block, for encoding; the decoder leaves it alone.
	Value []byte
}
