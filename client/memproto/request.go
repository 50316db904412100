package memproto

// Cmd is a command.
type Cmd uint8

// The commands, classic and meta. CmdUnknown is the zero value.
const (
	CmdUnknown Cmd = iota
	CmdGet
	CmdGets
	CmdGat
	CmdGats
	CmdSet
	CmdAdd
	CmdReplace
	CmdAppend
	CmdPrepend
	CmdCas
	CmdDelete
	CmdIncr
	CmdDecr
	CmdTouch
	CmdFlushAll
	CmdStats
	CmdVersion
	CmdVerbosity
	CmdQuit
	CmdMetaGet
	CmdMetaSet
	CmdMetaDelete
	CmdMetaArith
	CmdMetaDebug
	CmdMetaNoop

	numCmds
)

var cmdNames = [numCmds]string{
	CmdUnknown: "?", CmdGet: "get", CmdGets: "gets", CmdGat: "gat", CmdGats: "gats",
	CmdSet: "set", CmdAdd: "add", CmdReplace: "replace", CmdAppend: "append",
	CmdPrepend: "prepend", CmdCas: "cas", CmdDelete: "delete", CmdIncr: "incr",
	CmdDecr: "decr", CmdTouch: "touch", CmdFlushAll: "flush_all", CmdStats: "stats",
	CmdVersion: "version", CmdVerbosity: "verbosity", CmdQuit: "quit",
	CmdMetaGet: "mg", CmdMetaSet: "ms", CmdMetaDelete: "md", CmdMetaArith: "ma",
	CmdMetaDebug: "me", CmdMetaNoop: "mn",
}

// String is the command's word on the wire.
func (c Cmd) String() string {
	if c < numCmds {
		return cmdNames[c]
	}
	return "?"
}

// Storage reports whether a data block follows the command line.
func (c Cmd) Storage() bool { return c >= CmdSet && c <= CmdCas || c == CmdMetaSet }

// Meta reports whether c is one of mg ms md ma me mn.
func (c Cmd) Meta() bool { return c >= CmdMetaGet && c <= CmdMetaNoop }

// Mode is the argument of the meta flag M, upper case: for ms one of E (add), A
// (append), P (prepend), R (replace), S (set); for ma I (incr) or D (decr). 0 means
// the command's default.
type Mode byte

// Request is one command, typed. Which fields mean something depends on Cmd; for a
// meta command a field of a flag with an argument counts only if the flag's letter
// is in Flags. Byte slices of a decoded Request point into the decoder's input.
type Request struct {
	// What a meta get without arguments consists of comes first, in one cache line.
	Cmd Cmd
	// Mode: meta M.
	Mode Mode
	// NoReply: the classic noreply word.
	NoReply bool
	// HasDelay: flush_all carried an exptime.
	HasDelay bool
	// ClientFlags: classic storage flags, meta F.
	ClientFlags uint32
	// Key is the key as it stands on the wire (base64 when Flags has b). For get,
	// gets, gat and gats with more keys it is the first, and the others are in More:
	// the raw rest of the line, keys separated by spaces.
	Key []byte
	// Flags holds a meta command's flag letters.
	Flags Flags
	// Opaque is the argument of O, at most MaxOpaqueLen bytes.
	Opaque []byte

	// Exptime: classic storage, touch, gat and flush_all; meta T. As on the wire:
	// 0 never, up to 30 days relative, above that absolute, negative expired.
	Exptime int64
	// CAS: classic cas, meta C: the value to compare with.
	CAS uint64
	// NewCAS: meta E: the CAS value the item shall have.
	NewCAS uint64
	// Vivify: meta N, the exptime of a stub made on a miss.
	Vivify int64
	// Recache: meta R: win a token when less than this many seconds remain.
	Recache int64
	// Delta: incr, decr, ma D. An ma without D has 1.
	Delta uint64
	// Initial: ma J: the number an auto-created counter starts with.
	Initial uint64
	// BodyLen is the length of the data block that follows the line, without its
	// CRLF; -1 when there is none.
	BodyLen int

	// Value is the data block, for encoding; the decoder leaves it alone.
	Value []byte
	// More: see Key.
	More []byte
	// Meta is the flags of a decoded meta command as they stood on the line: the
	// order of T and t says which TTL is meant, and replies list their flags in
	// this order. Encoding ignores it.
	Meta []byte
	// Args is the rest of the line of stats and verbosity.
	Args []byte
}

// argued are the flags whose arguments stand behind a Request's first cache line.
const argued = FlagC | FlagE | FlagT | FlagN | FlagR | FlagD | FlagJ

// Reset empties r for its next use. Of a meta get nothing may have been set that its flags don't ask for: of one without arguments
// only what it has is touched.
func (r *Request) Reset() {
	if r.Cmd == CmdMetaGet && r.Flags&argued == 0 {
		r.Cmd, r.Mode, r.NoReply, r.HasDelay, r.ClientFlags = 0, 0, false, false, 0
		r.Key, r.Flags, r.Opaque = nil, 0, nil
		return
	}
	*r = Request{}
}
