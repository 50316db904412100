package memproto

import "bytes"

// decodeGet reads the keys of get and gets. All of them are checked here, so that a
// node never has to take back values it has already written.
func (r *Request) decodeGet(rest []byte) error {
	rest = bytes.Trim(rest, " ")
	if len(rest) == 0 {
		return ReqBadFormat
	}
	all := rest
	r.Key, rest = nextToken(rest)
	if rest != nil {
		r.More = bytes.TrimLeft(rest, " ")
		if r.Key[0] == '/' && isHTTP(all) {
			return ReqHTTP // "get / HTTP/1.1" in lower case
		}
	}
	if len(r.Key) > MaxKeyLen {
		return ReqBadFormat
	}
	for more := r.More; len(more) > 0; {
		var key []byte
		if key, more = nextToken(more); len(key) > MaxKeyLen {
			return ReqBadFormat
		}
	}
	return nil
}

// decodeGat reads <exptime> <key>*.
func (r *Request) decodeGat(rest []byte) error {
	tok, keys := nextToken(rest)
	if len(bytes.Trim(keys, " ")) == 0 {
		return ReqBadFormat
	}
	var ok bool
	if r.Exptime, ok = strictExptime(tok); !ok {
		return ReqBadExptime
	}
	return r.decodeGet(keys)
}

// decodeStorage reads <key> <flags> <exptime> <bytes> [<cas>] [noreply]. An
// unreadable length is refused before anything else, because without it nobody
// knows how much to swallow; BodyLen stays -1 then.
func (r *Request) decodeStorage(rest []byte, lim *Limits) error {
	key, tail := nextToken(rest)
	flags, tail := nextToken(tail)
	exptime, tail := nextToken(tail)
	size, tail := nextToken(tail)
	if len(size) == 0 {
		return ReqBadFormat
	}
	n, ok := bodyLen(size)
	if !ok {
		return ReqBadFormat
	}
	r.Key, r.BodyLen = key, n
	r.NoReply = len(tail) > 0 && lastIsNoReply(tail)
	if len(key) > MaxKeyLen {
		return ReqBadFormat
	}
	f, ok := looseUint(flags)
	if !ok {
		return ReqBadFormat
	}
	r.ClientFlags = uint32(f)
	if r.Exptime, ok = looseExptime(exptime); !ok {
		return ReqBadFormat
	}
	if r.Cmd == CmdCas {
		cas, _ := nextToken(tail)
		if r.CAS, ok = looseUint(cas); !ok {
			return ReqBadFormat
		}
	}
	if n > lim.requestValue() {
		return ReqTooLarge
	}
	return nil
}

// decodeKeyed reads <key> [<number>] [noreply] with at least minTokens tokens: the
// line of delete, incr, decr and touch. Tokens that follow are ignored, as ever.
func (r *Request) decodeKeyed(rest []byte, minTokens int) error {
	key, tail := nextToken(rest)
	arg, tail := nextToken(tail)
	if r.Cmd == CmdDelete {
		// memcached's head ignores what follows the key; libmemcached's conformance test
		// wants an error for a line that cannot be meant: more than an old client's 0
		// and noreply.
		_, tail = nextToken(tail)
		if tail, _ = nextToken(tail); len(tail) > 0 {
			return ReqBadFormat
		}
	}
	if len(key) == 0 || minTokens > 1 && len(arg) == 0 {
		return ReqBadFormat
	}
	r.Key = key
	r.NoReply = lastIsNoReply(rest)
	if len(key) > MaxKeyLen {
		return ReqBadFormat
	}
	var ok bool
	switch r.Cmd {
	case CmdIncr, CmdDecr:
		if r.Delta, ok = looseUint(arg); !ok {
			return ReqBadDelta
		}
	case CmdTouch:
		if r.Exptime, ok = looseExptime(arg); !ok {
			return ReqBadExptime
		}
	}
	return nil
}

// decodeFlush reads [<exptime>] [noreply].
func (r *Request) decodeFlush(rest []byte) error {
	tok, tail := nextToken(rest)
	r.NoReply = lastIsNoReply(rest)
	if len(tok) == 0 || r.NoReply && len(bytes.Trim(tail, " ")) == 0 {
		return nil
	}
	var ok bool
	if r.Exptime, ok = strictExptime(tok); !ok {
		return ReqBadExptime
	}
	r.HasDelay = true
	return nil
}

// decodeVerbosity reads <level> [noreply].
func (r *Request) decodeVerbosity(rest []byte) error {
	r.NoReply = lastIsNoReply(rest)
	r.Args, _ = nextToken(rest)
	if n, ok := parseUint(r.Args); !ok || n > 1<<32-1 {
		return ReqBadFormat
	}
	return nil
}
