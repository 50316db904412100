package classic

import (
	"bytes"

	"github.com/memherd/memherd/client/memproto"
)

// Verdict is what a reply line means to an exchange.
type Verdict uint8

const (
	// Misfit: the line is no reply to what was sent; nothing behind it can be trusted.
	Misfit Verdict = iota
	// More: the line was one of the exchange's, and another is due.
	More
	// Done: the exchange is complete, and the line has become the meta reply. If its
	// BodyLen is not negative, the value and then END are still to come.
	Done
)

// Match takes the next reply line.
func (x *Exchange) Match(r *memproto.Response) Verdict {
	switch x.due {
	case dueAdded:
		switch r.Status {
		case memproto.StatusStored, memproto.StatusNotStored, memproto.StatusServerError:
			x.held, x.due = r.Status, dueStub
			return More
		}
	case dueStub, dueValue, dueCASValue:
		return x.value(r)
	case dueDeleted:
		switch r.Status {
		case memproto.StatusDeleted:
			return x.become(r, memproto.StatusHD)
		case memproto.StatusNotFound:
			return x.become(r, memproto.StatusNF)
		}
	case dueVersion:
		if r.Status == memproto.StatusVersion {
			return x.become(r, memproto.StatusMN)
		}
	case dueProof:
		if r.Status == memproto.StatusVersion {
			r.Number = x.number
			return x.become(r, x.held)
		}
	default:
		if x.held = x.outcome(r); x.held != memproto.StatusUnknown {
			x.number, x.due = r.Number, dueProof
			return More
		}
	}
	return Misfit
}

// become makes r the meta reply.
func (x *Exchange) become(r *memproto.Response, s memproto.Status) Verdict {
	r.Status = s
	x.due = dueNothing
	return Done
}

// NotNumber is how a server answers incr and decr of a value that is no number.
var NotNumber = []byte("cannot increment or decrement non-numeric value")

// outcome is the meta status for the reply of a command that may be refused,
// StatusUnknown if it can't have that reply.
func (x *Exchange) outcome(r *memproto.Response) memproto.Status {
	d := x.due
	switch r.Status {
	case memproto.StatusServerError:
		if x.refusable() {
			return r.Status
		}
	case memproto.StatusClientError:
		if d == dueNumber && bytes.Equal(r.Message, NotNumber) {
			return r.Status
		}
	case memproto.StatusStored:
		if d == dueStored || d == dueCondition || d == dueSwapped {
			return memproto.StatusHD
		}
	case memproto.StatusNotStored:
		if d == dueCondition {
			return memproto.StatusNS
		}
	case memproto.StatusExists:
		if d == dueSwapped {
			return memproto.StatusEX
		}
	case memproto.StatusNotFound:
		if d == dueSwapped || d == dueNumber {
			return memproto.StatusNF
		}
	case memproto.StatusNumber:
		if d == dueNumber {
			return memproto.StatusVA
		}
	}
	return memproto.StatusUnknown
}

// value takes VALUE or END.
func (x *Exchange) value(r *memproto.Response) Verdict {
	withCAS := x.due != dueValue
	switch {
	case r.Status == memproto.StatusEnd && x.held == memproto.StatusServerError:
		// No memory for the stub, and nothing there: the refusal is the answer.
		return x.become(r, memproto.StatusServerError)
	case r.Status == memproto.StatusEnd:
		return x.become(r, memproto.StatusEN)
	case r.Status != memproto.StatusValue || !bytes.Equal(r.Key, x.key) || r.HasCAS != withCAS:
		return Misfit
	}
	r.Flags = x.flags & (memproto.FlagLf | memproto.FlagLs | memproto.FlagLc)
	r.Size = int64(r.BodyLen)
	if r.CAS == 0 {
		// A server that runs without CAS (-C) says 0, which compares with everything.
		r.Flags &^= memproto.FlagLc
	}
	r.HasCAS = r.Flags.Has(memproto.FlagLc)
	if x.due == dueStub && r.BodyLen == 0 && r.ClientFlags == 0 {
		// A stub: ours if the add made one. Somebody may have deleted it, and made one of
		// their own, before our gets: then two load, under one token, and one fill is
		// refused. Neither fills with anything read before the token.
		r.Flags |= memproto.FlagZ
		if x.held == memproto.StatusStored {
			r.Flags ^= memproto.FlagZ | memproto.FlagW
		}
	}
	if x.flags.Has(memproto.FlagLv) {
		return x.become(r, memproto.StatusVA)
	}
	return x.become(r, memproto.StatusHD)
}
