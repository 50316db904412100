package loader

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Version says which of two writes of a key is the newer one, whatever process and
// machine they came from. Write-back hands it to Config.Store and Config.Remove in their
// context (VersionOf) and to Back.StoreMany beside each value, so that an origin that
// keeps it with the row can refuse to overwrite something newer (ErrSuperseded): a write
// may reach the origin late, or twice.
type Version struct {
	// Time is when the write was journalled, by the clock of its machine. Within a
	// journal it never goes back and no two writes share one, whatever the clock does;
	// between machines it is as right as their clocks.
	Time time.Time
	// Writer is the journal's number, drawn at random when it was made.
	Writer uint64
	// Seq counts the journal's writes from 1, over all its openings.
	Seq uint64
}

// Compare returns -1, 0 or +1 as v is older than, the same as, or newer than w: by Time,
// then by Writer, so that all origins agree, then by Seq.
func (v Version) Compare(w Version) int {
	return cmp.Or(v.Time.Compare(w.Time), cmp.Compare(v.Writer, w.Writer), cmp.Compare(v.Seq, w.Seq))
}

// String returns 48 hexadecimal digits that sort as Compare does (for times from 1970
// on), to be kept in one column of text.
func (v Version) String() string {
	return fmt.Sprintf("%016x%016x%016x", uint64(v.Time.UnixNano()), v.Writer, v.Seq)
}

type versionKey struct{}

// VersionOf returns the version of the write that Config.Store or Config.Remove is asked
// to make, from its context. ok is false for writes of other policies than WriteBack,
// which have none.
func VersionOf(ctx context.Context) (v Version, ok bool) {
	v, ok = ctx.Value(versionKey{}).(Version)
	return v, ok
}

// Record is one write that has yet to reach the origin, as a Journal keeps it.
type Record struct {
	Key     string // with Config.Prefix
	Value   []byte // the codec's bytes; nothing for a delete
	Deleted bool
	Version Version
}

// Journal keeps records until the origin has them. Package loader/journal has one in a
// file. All methods are safe for concurrent use; a journal serves one loader.
type Journal interface {
	// Replay calls fn for the newest record of every key that was not forgotten, in the
	// order of Seq. New calls it once, before anything else. An error of fn ends it.
	Replay(fn func(Record) error) error
	// Append gives each record its Version, in order, and makes all of them lasting, or
	// none, before it returns. A record takes the place of an older one of its key. It
	// keeps no Value after it has returned. Once it has failed, what it was given may
	// or may not be there after the next start, and every later Append fails.
	Append(recs []Record) error
	// Forget strikes a record out that is settled. That need not be lasting when it
	// returns: a record that comes back is written again. But see Settler.
	Forget(rec Record)
}

// Settler is implemented by a Journal whose Forget is not lasting when it returns, as that of package loader/journal. A write of
// another policy calls it before it goes to the origin, when an older one of its key by WriteBack has been there: if the process died, the
// next start would write the older one once more, behind the other.
type Settler interface {
	// Settle returns when what was forgotten of key will not come back; at once if there is nothing to wait for. The
	// write is not made, and fails with ErrJournal, if it fails.
	Settle(key string) error
}
