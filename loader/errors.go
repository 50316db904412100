package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

var (
	// ErrNotFound: the origin does not have the key. Config.Load returns it, alone or
	// wrapped, and Get hands it on, also from a remembered absence.
	ErrNotFound = errors.New("memherd: not found at the origin")
	// ErrClosed: the loader has been closed.
	ErrClosed = errors.New("memherd: loader is closed")
	// ErrNoStore: Put was called on a loader whose Config.Store is nil.
	ErrNoStore = errors.New("memherd: Put needs Config.Store, the origin's write")
	// ErrNoJournal: WriteBack was asked for on a loader whose Config.Back.Journal is nil.
	ErrNoJournal = errors.New("memherd: WriteBack needs Config.Back.Journal")
	// ErrNoReader: Peek was called on a loader whose cache is no Reader.
	ErrNoReader = errors.New("memherd: Peek needs a cache that is a loader.Reader")
	// ErrLoadTimeout: a load, with the time it waited for its turn, took longer than
	// Config.LoadTimeout. It is also a context.DeadlineExceeded to errors.Is.
	ErrLoadTimeout error = loadTimeoutError{}
	// ErrOriginBusy: a load never began, because its turn did not come (Config.MaxLoads,
	// Config.Origin) within Origin.QueueWait or LoadTimeout. In the latter case the error is
	// ErrLoadTimeout, too.
	ErrOriginBusy = errors.New("memherd: the limits of loads left no turn for this one")
	// ErrLoadExited: Load ended its goroutine with runtime.Goexit.
	ErrLoadExited = errors.New("memherd: Load called runtime.Goexit")
	// ErrCacheDown: the cache failed and Config.FailClosed forbids to ask the origin
	// instead. It wraps the cache's error.
	ErrCacheDown = errors.New("memherd: cache failed and FailClosed is set")
	// ErrNotInvalidated: the cache could neither confirm nor book the removal of the
	// old value after the origin was written. The origin has the new value; the cache
	// may serve the old one until its TTL. Call Invalidate to try again.
	ErrNotInvalidated = errors.New("memherd: the old value could not be removed from the cache")
	// ErrJournal: the journal could not make a write lasting; the write was not accepted.
	// After a failure of the disk it may all the same be there after the next start, and
	// no further write is accepted before one. It wraps the journal's error.
	ErrJournal = errors.New("memherd: the journal failed, the write was not accepted")
	// ErrBacklogFull: Back.MaxPending or MaxPendingBytes writes were waiting for the
	// origin until the context ended; the write was not accepted. It wraps ctx's error.
	ErrBacklogFull = errors.New("memherd: too many writes are waiting for the origin, the write was not accepted")
	// ErrPending: the context, or Close's time, ended before what was waited for had
	// reached the origin. It is in the journal and not lost.
	ErrPending = errors.New("memherd: writes have not reached the origin yet and are kept in the journal")
	// ErrSuperseded is what Config.Store, Config.Remove and Back.StoreMany return, alone or wrapped, when the
	// origin has a newer version (VersionOf) than that of the write. The write is
	// dropped, and the key deleted from the cache.
	ErrSuperseded = errors.New("memherd: the origin has a newer version")
	// ErrTooOld: a write an earlier process left in the journal is older than
	// Back.MaxReplayAge. DeadLetter gets it.
	ErrTooOld = errors.New("memherd: the write in the journal is older than Back.MaxReplayAge")
	// ErrUnreadable: the codec cannot read what it wrote into the journal, or there is a
	// delete in it and no Config.Remove. DeadLetter gets it.
	ErrUnreadable = errors.New("memherd: the write in the journal cannot be read")
)

// Reasons why a value was not cached, as Hooks.NotCached gets them.
var (
	errNoLease    = errors.New("memherd: no copy could give a lease")
	errWaitedOut  = errors.New("memherd: others held the right to fill for too long")
	errCorrupt    = errors.New("memherd: cached bytes are foreign or corrupt")
	errTooLarge   = errors.New("memherd: encoded value is larger than Config.MaxValueBytes")
	errAbandoned  = errors.New("memherd: everybody who waited has left")
	errExited     = errors.New("memherd: a function of the loader's Config called runtime.Goexit")
	errMoved      = errors.New("memherd: the key has changed during its audit")
	errOriginFull = errors.New("memherd: no free slot for an audit")
	errCodecPanic = errors.New("memherd: codec panicked")

	errNotAppended = errors.New("memherd: codec: Encode must append to dst, it returned other bytes")
)

type loadTimeoutError struct{}

func (loadTimeoutError) Error() string        { return "memherd: load took longer than Config.LoadTimeout" }
func (loadTimeoutError) Timeout() bool        { return true }
func (loadTimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// PanicError is what every caller that waits for a load gets when Load panics, or another function of Config that takes its place.
type PanicError struct {
	Value any    // what Load panicked with
	Stack []byte // the stack of the load's goroutine
	what  string // panicked, Load if empty
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("memherd: %s panicked: %v", cmp.Or(e.what, "Load"), e.Value)
}

// Unwrap returns the panic's value when that is an error, and not one by which a function of Config says something of the key: it has
// returned nothing.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrSuperseded) {
		return nil
	}
	return err
}
