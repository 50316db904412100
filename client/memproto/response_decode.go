package memproto

import "bytes"

// DecodeResponse consumes one reply line from the front of buf into r and returns
// its length in bytes, line end included. A line may end in CRLF or LF. If buf holds
// less than a line it returns ErrIncomplete and consumes nothing; ErrLineTooLong,
// ErrValueTooLong and ErrBadReply mean that the stream cannot be trusted any more.
// lim may be nil for the defaults. Slices in r point into buf.
//
// When r.BodyLen is not negative, that many bytes and a CRLF follow the line.
func DecodeResponse(buf []byte, lim *Limits, r *Response) (int, error) {
	maxLine := lim.responseLine()
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		if len(buf) > maxLine+1 {
			return 0, ErrLineTooLong
		}
		return 0, ErrIncomplete
	}
	line := buf[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	if len(line) > maxLine {
		return 0, ErrLineTooLong
	}
	*r = Response{BodyLen: -1}
	var err error
	switch {
	case len(line) > 0 && line[0] >= '0' && line[0] <= '9':
		err = decodeNumber(line, r) // first: a number of two digits looks like a code
	case len(line) >= 2 && (len(line) == 2 || line[2] == ' '):
		err = decodeMeta(line, lim, r)
	default:
		err = decodeClassic(line, lim, r)
	}
	if err != nil {
		return 0, err
	}
	return end + 1, nil
}

// decodeMeta reads a line whose first word has two letters. OK is the one classic
// reply among them.
func decodeMeta(line []byte, lim *Limits, r *Response) error {
	rest := line[2:]
	switch string(line[:2]) {
	case "HD":
		r.Status = StatusHD
	case "VA":
		r.Status = StatusVA
		size, tail := nextToken(rest)
		n, ok := parseUint(size)
		if !ok {
			return ErrBadReply
		}
		if n > uint64(lim.responseValue()) {
			return ErrValueTooLong
		}
		r.BodyLen = int(n)
		rest = tail
	case "EN":
		r.Status = StatusEN
	case "NF":
		r.Status = StatusNF
	case "NS":
		r.Status = StatusNS
	case "EX":
		r.Status = StatusEX
	case "MN":
		r.Status = StatusMN
		return nil
	case "ME":
		r.Status = StatusME
		r.Key, r.Message = nextToken(rest)
		return nil
	case "OK":
		r.Status = StatusOK
		return nil
	default:
		return ErrBadReply
	}
	return decodeReplyFlags(rest, lim, r)
}

// decodeReplyFlags reads the flags behind a meta reply code. Letters it does not
// know are noted in Flags and their arguments passed over: a newer server may say
// more than this codec understands.
func decodeReplyFlags(rest []byte, lim *Limits, r *Response) error {
	left := lim.tokens()
	for len(rest) > 0 {
		// Inlined nextToken: this loop runs for every reply of the hot path.
		if rest[0] == ' ' {
			rest = rest[1:]
			continue
		}
		i := bytes.IndexByte(rest, ' ')
		tok := rest
		if i >= 0 {
			tok, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if left--; left < 0 {
			return ErrBadReply
		}
		f := Flag(tok[0])
		if f == 0 {
			return ErrBadReply
		}
		r.Flags |= f
		arg := tok[1:]
		ok := true
		switch tok[0] {
		case 'f':
			var n uint64
			n, ok = parseUint(arg)
			ok = ok && n <= 1<<32-1
			r.ClientFlags = uint32(n)
		case 'O':
			r.Opaque = arg
		case 'k':
			r.Key = arg
		case 'c':
			r.CAS, ok = parseUint(arg)
			r.HasCAS = true
		case 't':
			r.TTL, ok = parseInt(arg)
		case 's':
			r.Size, ok = parseInt(arg)
		case 'l':
			r.LastAccess, ok = parseInt(arg)
		case 'h':
			ok = len(arg) == 1 && (arg[0] == '0' || arg[0] == '1')
			r.Hit = ok && arg[0] == '1'
		}
		if !ok {
			return ErrBadReply
		}
	}
	return nil
}

// decodeNumber reads the reply of incr and decr. A decremented number may come with
// trailing spaces when read back; the reply itself has none, but they do no harm.
func decodeNumber(line []byte, r *Response) error {
	n, ok := parseUint(bytes.TrimRight(line, " "))
	if !ok {
		return ErrBadReply
	}
	r.Status, r.Number = StatusNumber, n
	return nil
}

func decodeClassic(line []byte, lim *Limits, r *Response) error {
	word, rest := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		word, rest = line[:i], line[i+1:]
	}
	switch string(word) {
	case "VALUE":
		return decodeValue(rest, lim, r)
	case "END":
		r.Status = StatusEnd
	case "STORED":
		r.Status = StatusStored
	case "NOT_STORED":
		r.Status = StatusNotStored
	case "EXISTS":
		r.Status = StatusExists
	case "NOT_FOUND":
		r.Status = StatusNotFound
	case "DELETED":
		r.Status = StatusDeleted
	case "TOUCHED":
		r.Status = StatusTouched
	case "RESET":
		r.Status = StatusReset
	case "STAT":
		r.Status = StatusStat
		r.Key, r.Message = nextToken(rest)
		if len(r.Key) == 0 {
			return ErrBadReply
		}
	case "VERSION":
		r.Status, r.Message = StatusVersion, rest
	case "ERROR":
		r.Status, r.Message = StatusError, rest
	case "CLIENT_ERROR":
		r.Status, r.Message = StatusClientError, rest
	case "SERVER_ERROR":
		r.Status, r.Message = StatusServerError, rest
	default:
		return decodeColonError(word, rest, r)
	}
	return nil
}

// decodeColonError knows the two error lines servers write with a colon:
// "ERROR: shutdown not enabled" and "SERVER_ERROR: …".
func decodeColonError(word, rest []byte, r *Response) error {
	switch string(word) {
	case "ERROR:":
		r.Status = StatusError
	case "SERVER_ERROR:":
		r.Status = StatusServerError
	default:
		return ErrBadReply
	}
	r.Message = rest
	return nil
}

// decodeValue reads what follows VALUE: <key> <flags> <bytes> [<cas>].
func decodeValue(rest []byte, lim *Limits, r *Response) error {
	var tok []byte
	r.Status = StatusValue
	if r.Key, rest = nextToken(rest); len(r.Key) == 0 {
		return ErrBadReply
	}
	tok, rest = nextToken(rest)
	flags, ok := parseUint(tok)
	if !ok || flags > 1<<32-1 {
		return ErrBadReply
	}
	tok, rest = nextToken(rest)
	n, ok := parseUint(tok)
	if !ok {
		return ErrBadReply
	}
	if n > uint64(lim.responseValue()) {
		return ErrValueTooLong
	}
	r.ClientFlags, r.BodyLen = uint32(flags), int(n)
	if tok, rest = nextToken(rest); len(tok) > 0 {
		if r.CAS, ok = parseUint(tok); !ok {
			return ErrBadReply
		}
		r.HasCAS = true
	}
	if tok, _ = nextToken(rest); len(tok) > 0 {
		return ErrBadReply
	}
	return nil
}
