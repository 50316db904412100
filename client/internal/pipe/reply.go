package pipe

import (
	"math"

	"github.com/memherd/memherd/client/memproto"
)

// Reply is what a reply line said, without what pointed into the line: a
// memproto.Response for keeping, and small. A field of a meta flag counts only if the
// flag's letter is in Flags.
type Reply struct {
	// Flags holds the letters of a meta reply's flags, W, X and Z among them.
	Flags memproto.Flags
	// CAS: meta c, VALUE's cas of gets (HasCAS).
	CAS uint64
	// TTL: meta t in seconds, -1 for no expiry.
	TTL int64
	// Size: meta s, in bytes. LastAccess: meta l, seconds since the last access. Both
	// stop at the largest number that fits.
	Size, LastAccess uint32
	// ClientFlags: meta f, VALUE's flags.
	ClientFlags uint32
	Status      memproto.Status
	HasCAS      bool
	// Hit: meta h.
	Hit bool
	// Bare says that it was the reply to a classic get, which tells neither marks nor TTL
	// although they were asked for, or might have been.
	Bare bool
}

// tooLarge stands in a burst for an answer whose value was longer than Config.MaxValue: a
// SERVER_ERROR, which no node gives one of many keys.
var tooLarge = Reply{Status: memproto.StatusServerError}

// TooLarge reports whether a burst's answer had a value that was too long to be kept.
func (a *Answer) TooLarge() bool { return a.Resp.Status == memproto.StatusServerError }

// set takes over what is worth keeping of a decoded line.
func (r *Reply) set(d *memproto.Response) {
	r.Flags, r.CAS, r.TTL = d.Flags, d.CAS, d.TTL
	r.Size, r.LastAccess = clamp(d.Size), clamp(d.LastAccess)
	r.ClientFlags, r.Status, r.HasCAS, r.Hit = d.ClientFlags, d.Status, d.HasCAS, d.Hit
}

func clamp(n int64) uint32 { return uint32(max(0, min(n, math.MaxUint32))) }
