package memproto

import "bytes"

func (l *Limits) requestLine() int {
	if l == nil || l.MaxLine <= 0 {
		return DefaultMaxRequestLine
	}
	return l.MaxLine
}

func (l *Limits) multigetLine() int {
	if l == nil || l.MaxMultigetLine <= 0 {
		return DefaultMaxMultigetLine
	}
	return l.MaxMultigetLine
}

func (l *Limits) requestValue() int {
	if l == nil || l.MaxValue <= 0 {
		return DefaultMaxRequestValue
	}
	return l.MaxValue
}

const binaryMagic = 0x80

// DecodeRequest consumes one command line from the front of buf into r and returns
// its length in bytes, line end included. A line may end in CRLF or LF. If buf holds
// less than a line it returns ErrIncomplete and consumes nothing. Any other error is
// a RequestError, which says what to answer; the line is then consumed too, and r
// holds Cmd, Key, NoReply and BodyLen as far as they were read. lim may be nil for
// the defaults. Slices in r point into buf; nothing is allocated.
//
// When r.BodyLen is not negative, that many bytes and a CRLF follow the line.
//
// For a command this codec does not know, r.Cmd is CmdUnknown and r.Args the whole
// line, so that a node may have commands of its own.
//
// The grammar and the order of its checks are memcached's head (doc/protocol.txt),
// except that key words are never accepted abbreviated and that a flag's number may
// not be left out.
func DecodeRequest(buf []byte, lim *Limits, r *Request) (int, error) {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		*r = Request{BodyLen: -1}
		return incomplete(buf, lim)
	}
	line := buf[:end]
	n := end + 1
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	*r = Request{BodyLen: -1}
	// The hot path: what a memherd client sends, in its first three bytes.
	if len(line) > 3 && line[0] == 'm' && line[2] == ' ' && !lim.noMeta() {
		var err error
		switch line[1] {
		case 'g':
			r.Cmd = CmdMetaGet
			err = r.decodeMeta(line[3:], lim)
			return n, err
		case 's':
			r.Cmd = CmdMetaSet
			err = r.decodeMetaSet(line[3:], lim)
			return n, err
		}
	}
	if buf[0] == binaryMagic {
		return n, ReqBinary
	}
	if n > lim.multigetLine()+2 {
		return n, ReqLineTooLong
	}
	if n < 4 {
		return n, ReqBadFormat
	}
	return n, r.decodeLine(line, lim)
}

// incomplete says what to do with buf, which holds no line end yet.
func incomplete(buf []byte, lim *Limits) (int, error) {
	if len(buf) == 0 {
		return 0, ErrIncomplete
	}
	if buf[0] == binaryMagic {
		return len(buf), ReqBinary
	}
	if len(buf) <= lim.requestLine() {
		return 0, ErrIncomplete
	}
	// Only a classic get with many keys may be longer.
	b := bytes.TrimLeft(buf[:min(101, len(buf))], " ")
	if !bytes.HasPrefix(b, []byte("get ")) && !bytes.HasPrefix(b, []byte("gets ")) || len(buf) > lim.multigetLine()+1 {
		return len(buf), ReqLineTooLong
	}
	return 0, ErrIncomplete
}

func (r *Request) decodeLine(line []byte, lim *Limits) error {
	word, rest := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		word, rest = line[:i], line[i+1:]
	}
	if len(word) == 2 && word[0] == 'm' && lim.noMeta() {
		return r.decodeUnknown(line)
	}
	switch string(word) {
	case "get":
		r.Cmd = CmdGet
		return r.decodeGet(rest)
	case "gets":
		r.Cmd = CmdGets
		return r.decodeGet(rest)
	case "gat":
		r.Cmd = CmdGat
		return r.decodeGat(rest)
	case "gats":
		r.Cmd = CmdGats
		return r.decodeGat(rest)
	case "set":
		r.Cmd = CmdSet
		return r.decodeStorage(rest, lim)
	case "add":
		r.Cmd = CmdAdd
		return r.decodeStorage(rest, lim)
	case "replace":
		r.Cmd = CmdReplace
		return r.decodeStorage(rest, lim)
	case "append":
		r.Cmd = CmdAppend
		return r.decodeStorage(rest, lim)
	case "prepend":
		r.Cmd = CmdPrepend
		return r.decodeStorage(rest, lim)
	case "cas":
		r.Cmd = CmdCas
		return r.decodeStorage(rest, lim)
	case "delete":
		r.Cmd = CmdDelete
		return r.decodeKeyed(rest, 1)
	case "incr":
		r.Cmd = CmdIncr
		return r.decodeKeyed(rest, 2)
	case "decr":
		r.Cmd = CmdDecr
		return r.decodeKeyed(rest, 2)
	case "touch":
		r.Cmd = CmdTouch
		return r.decodeKeyed(rest, 2)
	case "flush_all":
		r.Cmd = CmdFlushAll
		return r.decodeFlush(rest)
	case "verbosity":
		r.Cmd = CmdVerbosity
		return r.decodeVerbosity(rest)
	case "stats":
		r.Cmd = CmdStats
		r.Args = bytes.Trim(rest, " ")
		return nil
	case "version":
		r.Cmd = CmdVersion
		return nil
	case "quit":
		r.Cmd = CmdQuit
		return nil
	case "mn":
		r.Cmd = CmdMetaNoop
		return nil
	case "md":
		r.Cmd = CmdMetaDelete
		return r.decodeMeta(rest, lim)
	case "ma":
		r.Cmd = CmdMetaArith
		return r.decodeMeta(rest, lim)
	case "me":
		r.Cmd = CmdMetaDebug
		return r.decodeMeta(rest, lim)
	case "mg", "ms":
		return ReqBadFormat // no key: with one DecodeRequest has seen it
	}
	return r.decodeUnknown(line)
}

// decodeUnknown closes on what browsers, and people who make browsers and servers
// send requests for them, say first: an HTTP request line or its Host header.
func (r *Request) decodeUnknown(line []byte) error {
	if len(line) >= 5 && bytes.EqualFold(line[:5], []byte("host:")) || isHTTP(line) {
		return ReqHTTP
	}
	r.Args = line
	r.NoReply = lastIsNoReply(line)
	return ReqUnknown
}

// isHTTP looks for the version that ends an HTTP request line, whatever white space
// stands before it.
func isHTTP(line []byte) bool {
	for {
		i := bytes.Index(line, []byte("HTTP/"))
		if i < 0 {
			return false
		}
		if i > 0 && isCSpace(line[i-1]) {
			return true
		}
		line = line[i+5:]
	}
}

// lastIsNoReply reports whether the line's last token is noreply.
func lastIsNoReply(line []byte) bool {
	line = bytes.TrimRight(line, " ")
	const word = "noreply"
	n := len(line) - len(word)
	return n >= 0 && string(line[n:]) == word && (n == 0 || line[n-1] == ' ')
}
