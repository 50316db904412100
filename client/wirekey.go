package client

import (
	"crypto/sha256"
	"fmt"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// KeyForm says which keys a Client takes.
type KeyForm uint8

const (
	// PlainKeys takes what a node takes as it is: 1 to 250 bytes, none of them a
	// space, a control character or DEL. Any other key is ErrMalformedKey.
	PlainKeys KeyForm = iota
	// AnyKeys takes every string but the empty one. A plain key travels as it is, so
	// that clients with either setting, and programs in other languages, see the same
	// items under it. Of the others
	//
	//   - one of up to 185 bytes travels in base64 with the meta protocol's flag b,
	//     and the node stores the bytes themselves;
	//   - a longer one, or a key of over 250 bytes of any kind, is stored under 186
	//     bytes: its first 153, a zero byte, and the SHA-256 of the whole key.
	//
	// No two keys share a stored form unless they have the same first 153 bytes and
	// the same SHA-256: nothing else is stored in 186 bytes with a zero byte among
	// them. A key that does not travel as it is costs an allocation of 250 bytes, and
	// needs nodes whose meta protocol has the flag b, as memcached 1.6.18 does: a Tier0
	// node counts as down.
	AnyKeys
)

const (
	// maxBinaryKey is the longest key that is stored as it is though it is not
	// plain. One byte less than what base64 can carry: that length is the digests'.
	maxBinaryKey = digestedKey - 1
	// digestedKey is the length of a digest's stored form: the most whose base64,
	// 248 bytes, is a legal key.
	digestedKey = memproto.MaxKeyLen / 4 * 3
	// keptPrefix is how much of a digested key stays legible.
	keptPrefix = digestedKey - 1 - sha256.Size
)

// setKey puts key into r in the form in which it travels. Every key that goes to a
// node passes here; everything inside the client (placement, near-cache, debt,
// leases, hooks) knows the caller's key alone. Which form a key has depends on the
// key only: with PlainKeys the others were refused when the call began.
func setKey(r *memproto.Request, key string) {
	if len(key) <= memproto.MaxKeyLen && item.PlainBytes(key) {
		r.Key = memproto.StringBytes(key)
		return
	}
	stored := memproto.StringBytes(key)
	if len(key) > maxBinaryKey {
		var mem [digestedKey]byte
		sum := sha256.Sum256(stored)
		stored = append(mem[:0], key[:keptPrefix]...)
		stored = append(stored, 0)
		stored = append(stored, sum[:]...)
	}
	r.Key = memproto.AppendKey64(make([]byte, 0, memproto.MaxKeyLen), stored)
	r.Flags |= memproto.FlagLb
}

// CheckKey returns nil if this client takes key, ErrMalformedKey otherwise: see
// Config.Keys. Every operation checks its keys itself; a loader asks here first.
func (c *Client) CheckKey(key string) error {
	if c.cfg.Keys == AnyKeys && key != "" {
		return nil
	}
	if err := item.CheckKey(key); err == nil || key == "" {
		return err
	}
	return errNotPlain
}

// errNotPlain is the ErrMalformedKey of a key that AnyKeys would take.
var errNotPlain = fmt.Errorf("%w; or set Config.Keys to client.AnyKeys, which takes any", item.ErrMalformedKey)

// isPlain reports whether key travels as it is.
func (c *Client) isPlain(key string) bool {
	return c.cfg.Keys == PlainKeys || len(key) <= memproto.MaxKeyLen && item.PlainBytes(key)
}
