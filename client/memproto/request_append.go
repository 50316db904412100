package memproto

import "strconv"

// Append appends the whole request to dst as it goes on the wire, data block
// included, and returns the longer slice. It does not validate: keys and opaques
// must have been checked (item.CheckKey), since a space or a line end in them would
// start another command.
func (r *Request) Append(dst []byte) []byte {
	dst = r.AppendLine(dst)
	if r.Cmd.Storage() {
		dst = append(dst, r.Value...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendLine appends the command line alone, its CRLF included. For storage
// commands the data block, len(Value) bytes and a CRLF, has to follow; a sender of
// large values can write it from where it lies.
func (r *Request) AppendLine(dst []byte) []byte {
	dst = append(dst, r.Cmd.String()...)
	switch r.Cmd {
	case CmdMetaGet, CmdMetaDelete, CmdMetaArith:
		dst = appendKey(dst, r.Key)
		dst = r.appendMetaFlags(dst)
	case CmdMetaSet:
		dst = appendKey(dst, r.Key)
		dst = appendInt(dst, int64(len(r.Value)))
		dst = r.appendMetaFlags(dst)
	default:
		dst = r.appendOther(dst)
	}
	return append(dst, '\r', '\n')
}

// appendOther appends what follows the word of any other command. It is apart because its many
// appends would make AppendLine's frame 0.7 KB, where a goroutine's stack is deepest: a new goroutine's would be
// moved to a larger one there, with all the frames above.
//
//go:noinline
func (r *Request) appendOther(dst []byte) []byte {
	switch r.Cmd {
	case CmdMetaDebug:
		dst = appendKey(dst, r.Key)
		if r.Flags.Has(FlagLb) {
			dst = append(dst, " b"...)
		}
	case CmdGet, CmdGets:
		dst = appendKey(dst, r.Key)
		dst = r.appendMore(dst)
	case CmdGat, CmdGats:
		dst = appendInt(dst, r.Exptime)
		dst = appendKey(dst, r.Key)
		dst = r.appendMore(dst)
	case CmdSet, CmdAdd, CmdReplace, CmdAppend, CmdPrepend, CmdCas:
		dst = appendKey(dst, r.Key)
		dst = appendUint(dst, uint64(r.ClientFlags))
		dst = appendInt(dst, r.Exptime)
		dst = appendInt(dst, int64(len(r.Value)))
		if r.Cmd == CmdCas {
			dst = appendUint(dst, r.CAS)
		}
	case CmdDelete:
		dst = appendKey(dst, r.Key)
	case CmdIncr, CmdDecr:
		dst = appendKey(dst, r.Key)
		dst = appendUint(dst, r.Delta)
	case CmdTouch:
		dst = appendKey(dst, r.Key)
		dst = appendInt(dst, r.Exptime)
	case CmdFlushAll:
		if r.HasDelay {
			dst = appendInt(dst, r.Exptime)
		}
	case CmdStats, CmdVerbosity:
		if len(r.Args) > 0 {
			dst = appendKey(dst, r.Args)
		}
	}
	if r.NoReply && !r.Cmd.Meta() {
		dst = append(dst, " noreply"...)
	}
	return dst
}

func (r *Request) appendMore(dst []byte) []byte {
	if len(r.More) > 0 {
		dst = appendKey(dst, r.More)
	}
	return dst
}

// appendMetaFlags writes the flags in a fixed order, letters of the hot path first.
func (r *Request) appendMetaFlags(dst []byte) []byte {
	f := r.Flags
	if f == 0 {
		return dst
	}
	if f.Has(FlagLv) {
		dst = append(dst, " v"...)
	}
	if f.Has(FlagLf) {
		dst = append(dst, " f"...)
	}
	if f.Has(FlagO) {
		dst = append(dst, " O"...)
		dst = append(dst, r.Opaque...)
	}
	// T before t would show the TTL after the touch; t comes first so that a read
	// that touches shows the TTL it found.
	if f.Has(FlagLt) {
		dst = append(dst, " t"...)
	}
	f &^= FlagLv | FlagLf | FlagO | FlagLt
	if f == 0 {
		return dst
	}
	for _, l := range [...]Flags{FlagLc, FlagLk, FlagLs, FlagLh, FlagLl, FlagLq, FlagLb, FlagLu, FlagLx, FlagI} {
		if f&l != 0 {
			dst = append(dst, ' ', l.Letter())
		}
	}
	if f.Has(FlagC) {
		dst = strconv.AppendUint(append(dst, " C"...), r.CAS, 10)
	}
	if f.Has(FlagE) {
		dst = strconv.AppendUint(append(dst, " E"...), r.NewCAS, 10)
	}
	if f.Has(FlagF) {
		dst = strconv.AppendUint(append(dst, " F"...), uint64(r.ClientFlags), 10)
	}
	if f.Has(FlagT) {
		dst = strconv.AppendInt(append(dst, " T"...), r.Exptime, 10)
	}
	if f.Has(FlagN) {
		dst = strconv.AppendInt(append(dst, " N"...), r.Vivify, 10)
	}
	if f.Has(FlagR) {
		dst = strconv.AppendInt(append(dst, " R"...), r.Recache, 10)
	}
	if f.Has(FlagD) {
		dst = strconv.AppendUint(append(dst, " D"...), r.Delta, 10)
	}
	if f.Has(FlagJ) {
		dst = strconv.AppendUint(append(dst, " J"...), r.Initial, 10)
	}
	if f.Has(FlagM) {
		dst = append(dst, ' ', 'M', byte(r.Mode))
	}
	return dst
}

func appendKey(dst, key []byte) []byte {
	dst = append(dst, ' ')
	return append(dst, key...)
}

func appendInt(dst []byte, n int64) []byte {
	return strconv.AppendInt(append(dst, ' '), n, 10)
}

func appendUint(dst []byte, n uint64) []byte {
	return strconv.AppendUint(append(dst, ' '), n, 10)
}
