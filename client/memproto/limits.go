package memproto

import "errors"

// Limits bounds what a peer may announce. The zero value of a field means its
// default.
type Limits struct {
	// MaxLine is the longest command or reply line in bytes, without its line end.
	// Default 2048 for requests (as memcached), 8192 for responses.
	MaxLine int
	// MaxMultigetLine bounds the lines of classic get, gets, gat and gats with many
	// keys, in bytes. Default 1 MiB. Requests only.
	MaxMultigetLine int
	// MaxValue is the largest data block in bytes. Default 1 MiB for requests and
	// 128 MiB, memcached's largest possible -I, for responses.
	MaxValue int
	// MaxTokens is how many tokens a reply line may have. Default 64.
	MaxTokens int
	// NoMeta makes the meta commands unknown words, as they are to a memcached before
	// 1.6. Requests only.
	NoMeta bool
	// MetaFlags are the letters that meta commands take; any other is refused as
	// invalid. 0 is all that memcached's head knows. Requests only.
	MetaFlags Flags
}

// Default limits, in bytes (tokens for DefaultMaxTokens).
const (
	DefaultMaxRequestLine  = 2048
	DefaultMaxResponseLine = 8192
	DefaultMaxMultigetLine = 1 << 20
	DefaultMaxRequestValue = 1 << 20
	DefaultMaxReplyValue   = 128 << 20
	DefaultMaxTokens       = 64
	// MaxKeyLen is the longest key on the wire; a base64 key counts encoded.
	MaxKeyLen = 250
	// MaxOpaqueLen is the longest opaque token real servers take: protocol.txt says
	// "up to 32 bytes", 1.6.18 and its successors refuse 32.
	MaxOpaqueLen = 31
)

func (l *Limits) responseLine() int {
	if l == nil || l.MaxLine <= 0 {
		return DefaultMaxResponseLine
	}
	return l.MaxLine
}

func (l *Limits) responseValue() int {
	if l == nil || l.MaxValue <= 0 {
		return DefaultMaxReplyValue
	}
	return l.MaxValue
}

func (l *Limits) tokens() int {
	if l == nil || l.MaxTokens <= 0 {
		return DefaultMaxTokens
	}
	return l.MaxTokens
}

func (l *Limits) noMeta() bool { return l != nil && l.NoMeta }

func (l *Limits) metaFlags() Flags {
	if l == nil || l.MetaFlags == 0 {
		return metaTakes
	}
	return l.MetaFlags & metaTakes
}

// Decoding errors. ErrIncomplete asks for more bytes; after any of the others the
// stream is out of step and the connection must be closed.
var (
	ErrIncomplete   = errors.New("memproto: incomplete line")
	ErrLineTooLong  = errors.New("memproto: line too long")
	ErrValueTooLong = errors.New("memproto: announced value too long")
	ErrBadReply     = errors.New("memproto: malformed reply line")
)
