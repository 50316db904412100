// Package classic carries meta requests to servers that know only memcached's classic
// commands. A request becomes one or two of them, sent together, and their replies are
// put together to the meta reply that a newer server would have given: whoever makes
// requests need not know which kind of server takes them.
//
//	mg          get, gets; with T gat, gats; with N add of a stub, then gets
//	ms          set, add, replace, append, prepend; with C cas; then version
//	md          delete; with C cas to an empty item that is expired already, then version
//	ma          incr, decr (N, J and T are left to the caller), then version
//	mn          version
//
// What has no counterpart is missing from the reply: the flags t, l, h and X.
//
// Classic replies carry no token, so little proves whose they are: the echoed key of a
// value, the kind of reply that the command can have, and the order. An error line fits
// everything. That is why a version goes behind every command that the server may have
// to refuse: nothing else has its reply, so that a line too many or too few before it
// shows at once, and a refusal is known for the command's own. The add of a stub has
// its proof in the gets behind it.
package classic

import "github.com/memherd/memherd/client/memproto"

// Exchange is one meta request on its way: which classic replies are due, and what has
// come of them. The zero value is ready for Append, and may be used again and again.
type Exchange struct {
	due    due
	flags  memproto.Flags  // what the request asked for
	held   memproto.Status // the first command's outcome, while the second's reply is due
	number uint64          // that of incr and decr
	key    []byte
}

// due is the next reply line expected.
type due uint8

const (
	dueNothing   due = iota
	dueAdded         // of the add that makes a stub; dueStub follows
	dueStub          // the gets after it
	dueValue         // get, gat
	dueCASValue      // gets, gats
	dueStored        // set
	dueCondition     // add, replace, append, prepend
	dueSwapped       // cas
	dueDeleted       // delete
	dueNumber        // incr, decr
	dueVersion       // version in place of mn
	dueProof         // version behind a command that may be refused
)

// Append appends the meta request r in classic words to dst, data block included. An me
// has none: it goes out as it is, and any reply to it is a misfit.
func (x *Exchange) Append(dst []byte, r *memproto.Request) []byte {
	out := memproto.Request{Key: r.Key, Value: r.Value, ClientFlags: r.ClientFlags}
	if r.Flags.Has(memproto.FlagT) {
		out.Exptime = r.Exptime
	}
	switch r.Cmd {
	case memproto.CmdMetaGet:
		dst = x.get(dst, r, &out)
	case memproto.CmdMetaSet:
		out.Cmd, x.due = storage(r)
		out.CAS = r.CAS
	case memproto.CmdMetaDelete:
		out.Cmd, x.due = memproto.CmdDelete, dueDeleted
		if r.Flags.Has(memproto.FlagC) {
			// Nothing deletes on a condition, but an item that is expired is as good as
			// none.
			out = memproto.Request{Cmd: memproto.CmdCas, Key: r.Key, Exptime: memproto.ExptimeExpired, CAS: r.CAS}
			x.due = dueSwapped
		}
	case memproto.CmdMetaArith:
		out.Cmd, out.Delta, x.due = memproto.CmdIncr, r.Delta, dueNumber
		if r.Mode == 'D' {
			out.Cmd = memproto.CmdDecr
		}
	case memproto.CmdMetaNoop:
		out.Cmd, x.due = memproto.CmdVersion, dueVersion
	default:
		x.due = dueNothing
		return r.Append(dst)
	}
	x.flags, x.held = r.Flags, memproto.StatusUnknown
	x.key = append(x.key[:0], r.Key...)
	dst = out.Append(dst)
	if x.refusable() {
		dst = append(dst, "version\r\n"...)
	}
	return dst
}

// refusable reports whether the server may have to refuse the command for want of
// memory, or because of what it finds.
func (x *Exchange) refusable() bool {
	switch x.due {
	case dueStored, dueCondition, dueSwapped, dueNumber:
		return true
	}
	return false
}

// get chooses the reading command, and appends what has to go before it.
func (x *Exchange) get(dst []byte, r, out *memproto.Request) []byte {
	withCAS := r.Flags.Has(memproto.FlagLc)
	switch {
	case r.Flags.Has(memproto.FlagN):
		stub := memproto.Request{Cmd: memproto.CmdAdd, Key: r.Key, Exptime: r.Vivify}
		dst = stub.Append(dst)
		out.Cmd, x.due = memproto.CmdGets, dueAdded
	case r.Flags.Has(memproto.FlagT) && withCAS:
		out.Cmd, x.due = memproto.CmdGats, dueCASValue
	case r.Flags.Has(memproto.FlagT):
		out.Cmd, x.due = memproto.CmdGat, dueValue
	case withCAS:
		out.Cmd, x.due = memproto.CmdGets, dueCASValue
	default:
		out.Cmd, x.due = memproto.CmdGet, dueValue
	}
	return dst
}

// storage is the classic command of an ms, and the reply it has.
func storage(r *memproto.Request) (memproto.Cmd, due) {
	switch r.Mode {
	case 'E':
		return memproto.CmdAdd, dueCondition
	case 'A':
		return memproto.CmdAppend, dueCondition
	case 'P':
		return memproto.CmdPrepend, dueCondition
	case 'R':
		return memproto.CmdReplace, dueCondition
	}
	if r.Flags.Has(memproto.FlagC) {
		return memproto.CmdCas, dueSwapped
	}
	return memproto.CmdSet, dueStored
}
