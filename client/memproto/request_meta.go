package memproto

// maxMetaTokens is how many tokens a meta line may have, command and key included
// (memcached's MFLAG_MAX_OPT_LENGTH).
const maxMetaTokens = 20

// decodeMeta reads <key> <flags>*: mg, md, ma and me.
func (r *Request) decodeMeta(rest []byte, lim *Limits) error {
	key, flags := nextToken(rest)
	if len(key) == 0 {
		return ReqBadFormat
	}
	r.Key = key
	if r.Cmd == CmdMetaArith {
		r.Delta = 1
	}
	return r.decodeMetaFlags(flags, 2, lim.metaFlags())
}

// decodeMetaSet reads <key> <datalen> <flags>*.
func (r *Request) decodeMetaSet(rest []byte, lim *Limits) error {
	key, tail := nextToken(rest)
	size, flags := nextToken(tail)
	n, ok := bodyLen(size)
	if !ok {
		return ReqBadFormat
	}
	r.Key, r.BodyLen = key, n
	if err := r.decodeMetaFlags(flags, 3, lim.metaFlags()); err != nil {
		return err
	}
	if n > lim.requestValue() {
		return ReqTooLarge
	}
	return nil
}

// metaTakes are the flags memcached's head knows. Every command accepts all of them
// and ignores those that mean nothing to it.
const metaTakes = FlagLb | FlagN | FlagT | FlagR | FlagLl | FlagO | flagP | flagL |
	FlagLk | FlagLs | FlagLt | FlagLc | FlagLf | FlagLv | FlagLh | FlagLu | FlagLq |
	FlagLx | FlagF | FlagC | FlagE | FlagM | FlagJ | FlagD | FlagI

// Hints for proxies, ignored by nodes.
const (
	flagP Flags = 1 << ('P' - 'A')
	flagL Flags = 1 << ('L' - 'A')
)

// decodeMetaFlags reads the flags of a line of which ntokens tokens were read; takes
// are those that are known. What
// is wrong first is not always what is answered: a flag that is no letter outweighs
// everything (and the data block of an ms is then not swallowed, but executed), then
// the key's length, the number of tokens, a duplicate or unknown flag, and of
// several unreadable arguments the last.
func (r *Request) decodeMetaFlags(rest []byte, ntokens int, takes Flags) error {
	r.Meta = rest
	var bad, fatal RequestError
	for i := 0; i < len(rest); {
		if rest[i] == ' ' {
			i++
			continue
		}
		start := i
		for i++; i < len(rest) && rest[i] != ' '; i++ {
		}
		ntokens++
		letter := rest[start]
		f := Flag(letter)
		if f == 0 {
			r.BodyLen = -1
			return ReqBadFormat
		}
		if fatal != 0 {
			continue
		}
		switch {
		case r.Flags&f != 0:
			fatal = ReqDuplicateFlag
			continue
		case f&takes == 0:
			fatal = ReqInvalidFlag
			continue
		}
		r.Flags |= f
		if f&metaArgs != 0 {
			if e := r.metaArg(letter, rest[start+1:i]); e != 0 {
				bad = e
			}
		}
	}
	if len(r.Key) > MaxKeyLen {
		fatal = ReqBadFormat
	} else if ntokens > maxMetaTokens {
		fatal = ReqTooManyFlags
	}
	if r.Cmd == CmdMetaDebug {
		if len(r.Key) > MaxKeyLen || bad == ReqBadKeyEncoding {
			return ReqBadFormat
		}
		return nil // me takes b and looks at nothing else
	}
	if fatal == 0 {
		fatal = bad
	}
	if fatal != 0 {
		if r.Cmd == CmdMetaArith {
			return ReqBadArithFlag
		}
		return fatal
	}
	if r.Flags&FlagM != 0 {
		if e := r.checkMode(); e != 0 {
			return e
		}
	}
	if len(r.Opaque) > MaxOpaqueLen {
		return ReqOpaqueTooLong
	}
	return nil
}

// metaArgs are the flags whose argument is read.
const metaArgs = FlagLb | FlagO | FlagT | FlagN | FlagR | FlagC | FlagE | FlagF | FlagM | FlagJ | FlagD

// metaArg reads one flag's argument; b has none but is where the key is checked.
func (r *Request) metaArg(letter byte, arg []byte) RequestError {
	var ok bool
	switch letter {
	case 'O':
		r.Opaque = arg
		return 0
	case 'M':
		if len(arg) > 0 {
			r.Mode = Mode(arg[0])
		}
		return 0
	case 'b':
		var scratch [MaxKeyLen]byte
		if _, ok = DecodeKey64(scratch[:], r.Key); !ok {
			return ReqBadKeyEncoding
		}
		return 0
	case 'F':
		var n uint64
		if n, ok = looseUint(arg); !ok {
			return ReqBadFormat
		}
		r.ClientFlags = uint32(n)
		return 0
	case 'J':
		if r.Initial, ok = looseUint(arg); !ok {
			return ReqBadInitial
		}
		return 0
	case 'D':
		if r.Delta, ok = looseUint(arg); !ok {
			return ReqBadDeltaValue
		}
		return 0
	case 'T':
		r.Exptime, ok = looseExptime(arg)
	case 'N':
		r.Vivify, ok = looseExptime(arg)
	case 'R':
		r.Recache, ok = looseExptime(arg)
	case 'C':
		r.CAS, ok = looseUint(arg)
	case 'E':
		r.NewCAS, ok = looseUint(arg)
	}
	if !ok {
		return ReqBadToken
	}
	return 0
}

// checkMode refuses modes ms and ma do not have and reduces ma's signs to letters.
func (r *Request) checkMode() RequestError {
	switch r.Cmd {
	case CmdMetaSet:
		switch r.Mode {
		case 'E', 'A', 'P', 'R', 'S':
			return 0
		}
		return ReqBadSetMode
	case CmdMetaArith:
		switch r.Mode {
		case 'I', '+':
			r.Mode = 'I'
		case 'D', '-':
			r.Mode = 'D'
		default:
			return ReqBadArithMode
		}
	}
	return 0
}
