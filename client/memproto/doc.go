// Package memproto is memcached's text protocol, classic and meta, as one codec for
// both ends: the client encodes Requests and decodes Responses, the node decodes
// Requests and encodes Responses, with the same types.
//
// Encoding appends to a byte slice and cannot fail; decoding reads from a byte slice
// and never allocates: what it returns points into that slice and is valid until
// the caller reuses it. Both decoders work on lines: DecodeRequest and
// DecodeResponse consume one line and report in BodyLen whether a data block
// follows, so that whoever owns the buffer decides where those bytes go. Given half
// a line they return ErrIncomplete and consume nothing, so a stream may be cut
// anywhere.
//
// Every length and number a peer announces is compared with Limits, as int64,
// before anything is allocated or skipped for it.
//
// The names of commands, flags and reply codes are those of memcached's
// doc/protocol.txt. The binary protocol and UDP are left out.
package memproto
