package memproto

// RequestError says why DecodeRequest refused a line. It is a small number, so
// that returning it as an error allocates nothing even under a flood of bad lines.
//
// After a RequestError the line is consumed. When the request's BodyLen is not
// negative, that many bytes and a CRLF follow which the node has to swallow without
// looking at them; Reply is sent after that, unless the request says NoReply. When
// Close is true nothing is answered and the connection is closed at once.
type RequestError uint8

// The refusals, in the words of memcached's head.
const (
	ReqUnknown        RequestError = iota + 1 // no such command
	ReqBadFormat                              // too few tokens, bad number, key too long
	ReqBadExptime                             // touch, gat, flush_all
	ReqBadDelta                               // incr, decr
	ReqDuplicateFlag                          // meta
	ReqInvalidFlag                            // meta
	ReqTooManyFlags                           // meta
	ReqBadToken                               // meta: a flag's number
	ReqBadInitial                             // meta: J
	ReqBadDeltaValue                          // meta: D
	ReqBadKeyEncoding                         // meta: b and no base64
	ReqOpaqueTooLong                          // meta: O
	ReqBadSetMode                             // ms: M
	ReqBadArithMode                           // ma: M
	ReqBadArithFlag                           // ma: whatever is wrong with its flags
	ReqTooLarge                               // the announced value is over Limits.MaxValue
	ReqLineTooLong                            // close
	ReqHTTP                                   // close: somebody was made to speak HTTP to a cache
	ReqBinary                                 // close: the binary protocol is not spoken

	numRequestErrors
)

var requestErrorTexts = [numRequestErrors]string{
	ReqUnknown:        "ERROR",
	ReqBadFormat:      "CLIENT_ERROR bad command line format",
	ReqBadExptime:     "CLIENT_ERROR invalid exptime argument",
	ReqBadDelta:       "CLIENT_ERROR invalid numeric delta argument",
	ReqDuplicateFlag:  "CLIENT_ERROR duplicate flag",
	ReqInvalidFlag:    "CLIENT_ERROR invalid flag",
	ReqTooManyFlags:   "CLIENT_ERROR options flags are too long",
	ReqBadToken:       "CLIENT_ERROR bad token in command line format",
	ReqBadInitial:     "CLIENT_ERROR invalid numeric initial value",
	ReqBadDeltaValue:  "CLIENT_ERROR invalid numeric delta value",
	ReqBadKeyEncoding: "CLIENT_ERROR error decoding key",
	ReqOpaqueTooLong:  "CLIENT_ERROR opaque token too long",
	ReqBadSetMode:     "CLIENT_ERROR invalid mode for ms M token",
	ReqBadArithMode:   "CLIENT_ERROR invalid mode for ma M token",
	ReqBadArithFlag:   "CLIENT_ERROR invalid or duplicate flag",
	ReqTooLarge:       "SERVER_ERROR object too large for cache",
}

// Reply is the error line to send, without its CRLF; "" when Close is true.
func (e RequestError) Reply() string {
	if e < numRequestErrors {
		return requestErrorTexts[e]
	}
	return requestErrorTexts[ReqUnknown]
}

// Close reports whether the connection has to be closed without an answer.
func (e RequestError) Close() bool { return e >= ReqLineTooLong && e < numRequestErrors }

// Error implements error. It never holds anything a peer sent.
func (e RequestError) Error() string {
	switch e {
	case ReqLineTooLong:
		return "memproto: request line too long"
	case ReqHTTP:
		return "memproto: HTTP spoken to a cache"
	case ReqBinary:
		return "memproto: binary protocol not spoken here"
	}
	return "memproto: bad request: " + e.Reply()
}
