package loader

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Defaults of BackConfig.
const (
	DefaultMaxPending      = 100_000
	DefaultMaxPendingBytes = 256 << 20
	DefaultFlushWorkers    = 4
	DefaultMaxBatch        = 100
	DefaultFlushTimeout    = 10 * time.Second
	DefaultMinBackoff      = 50 * time.Millisecond
	DefaultMaxBackoff      = 30 * time.Second
	DefaultMaxAttempts     = 20
	DefaultMaxReplayAge    = 24 * time.Hour
	DefaultDrainTimeout    = 10 * time.Second
)

// BackConfig sets up WriteBack. Only Journal is required, and Config.Store.
type BackConfig[V any] struct {
	// Journal keeps the writes that have not reached the origin. Setting it makes
	// WriteBack possible, for the loader (Config.Write) or for single calls. The loader
	// does not close it: close it after the loader.
	Journal Journal
	// StoreMany writes many values to the origin at once, each of another key. Nil: they
	// are stored one by one. After an error all of them are stored again one by one
	// through Config.Store, so that one bad row does not hold the others up: it should
	// write all or nothing. Or it leaves rows that are newer (Version) as they are, writes the others, and
	// returns ErrSuperseded, alone or wrapped: Config.Store says which they were then. With nil the cache keeps the
	// values of all, and of a row that was left until their TTL.
	StoreMany func(ctx context.Context, writes []Write[V]) error
	// DeadLetter is asked what to do with a write that was refused MaxAttempts times, is
	// older than MaxReplayAge, or cannot be read. It is called once at a time for each
	// worker, with no lock held. A write of the same key by another policy waits for it to return, and so must not be waited
	// for by it; one by WriteBack need not. Nil: they are all kept.
	DeadLetter func(DeadWrite[V]) Verdict
	// MaxPending is how many keys may have a write that is not at the origin yet, and
	// MaxPendingBytes how many bytes these may have. A second write of a key counts until it has taken the first one's
	// place, so it needs room, too. A Put beyond waits until its context
	// ends and then fails with ErrBacklogFull. 0 means 100,000 and 256 MiB.
	MaxPending      int
	MaxPendingBytes int64
	// Workers is how many calls of Store, Remove and StoreMany write-back makes at once.
	// 0 means 4.
	Workers int
	// MaxBatch is how many writes one StoreMany gets. 0 means 100.
	MaxBatch int
	// Linger is how long a worker that finds fewer writes than MaxBatch waits for more, with
	// StoreMany, before it stores them: fewer and larger transactions, and a key that is written
	// again meanwhile is stored once. Flush, Close and writes by another policy that wait for a pending one
	// end it. 0 means as long as that worker's last StoreMany took, 20 ms at most, and not at all after
	// a single write; any negative duration means not at all.
	Linger time.Duration
	// FlushTimeout bounds the context of each of these calls. 0 means 10 s.
	FlushTimeout time.Duration
	// MinBackoff is the pause after the first failure of a write, doubled with each
	// further one up to MaxBackoff; a random half of it is left out. 0 means 50 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// MaxAttempts is after how many failures a write goes to DeadLetter. 0 means 20,
	// about eight minutes with the default pauses.
	MaxAttempts int
	// MaxReplayAge is how old a write may be that an earlier process left in the journal:
	// an older one goes to DeadLetter instead of the origin, where much may have happened
	// since, and is not read. 0 means 24 h; any negative duration means without limit.
	MaxReplayAge time.Duration
	// DrainTimeout is how long Close goes on writing to the origin. What is left then
	// stays in the journal for the next start. 0 means 10 s; any negative duration means
	// that Close ends what is under way and nothing more.
	DrainTimeout time.Duration
}

// Write is one value for StoreMany.
type Write[V any] struct {
	Key     string // without Config.Prefix
	Value   V
	Version Version
}

// DeadWrite is a write that write-back gives up.
type DeadWrite[V any] struct {
	Key      string // without Config.Prefix
	Value    V      // the zero value for a delete, or if Err is ErrUnreadable
	Data     []byte // the codec's bytes of Value
	Deleted  bool
	Version  Version
	Attempts int   // calls of Store or Remove that failed
	Err      error // the last one's error, ErrTooOld or ErrUnreadable
}

// Verdict is what becomes of a dead write.
type Verdict uint8

const (
	// KeepWrite keeps it in the journal. One that the origin refused is tried again after
	// MaxBackoff, and comes to DeadLetter again after another MaxAttempts failures; one
	// that is too old or unreadable waits for the next start, unless its key is written again
	// meanwhile, and this process goes on as if it were not there.
	KeepWrite Verdict = iota
	// DropWrite strikes it out: the caller of DeadLetter has seen to it. The key is
	// deleted from the cache.
	DropWrite
)

func (c BackConfig[V]) withDefaults(cfg Config[V]) (BackConfig[V], error) {
	if c.Journal != nil && isNil(c.Journal) {
		return c, errors.New("memherd: loader.Config.Back.Journal is a nil pointer: look at the error of what should have opened it")
	}
	if c.Journal == nil {
		if cfg.Write == WriteBack {
			return c, errors.New("memherd: loader.Config.Back.Journal is nil: WriteBack needs a journal, see package loader/journal")
		}
		if !reflect.ValueOf(c).IsZero() {
			return c, errors.New("memherd: loader.Config.Back is set, but for its Journal, without which nothing is written by WriteBack: set Back.Journal, or none of Back")
		}
		return c, nil
	}
	if cfg.Store == nil {
		return c, errors.New("memherd: loader.Config.Store is nil: Back.Journal needs it to write to the origin")
	}
	for _, f := range []struct {
		name string
		n    *int64
		def  int64
	}{
		{"MaxPendingBytes", &c.MaxPendingBytes, DefaultMaxPendingBytes},
		{"FlushTimeout", (*int64)(&c.FlushTimeout), int64(DefaultFlushTimeout)},
		{"MinBackoff", (*int64)(&c.MinBackoff), int64(DefaultMinBackoff)},
		{"MaxBackoff", (*int64)(&c.MaxBackoff), int64(max(DefaultMaxBackoff, c.MinBackoff))},
	} {
		if *f.n < 0 {
			return c, fmt.Errorf("memherd: loader.Config.Back.%s is negative: use 0 for the default", f.name)
		}
		if *f.n == 0 {
			*f.n = f.def
		}
	}
	for _, f := range []struct {
		name string
		n    *int
		def  int
	}{
		{"MaxPending", &c.MaxPending, DefaultMaxPending},
		{"Workers", &c.Workers, DefaultFlushWorkers},
		{"MaxBatch", &c.MaxBatch, DefaultMaxBatch},
		{"MaxAttempts", &c.MaxAttempts, DefaultMaxAttempts},
	} {
		if *f.n < 0 {
			return c, fmt.Errorf("memherd: loader.Config.Back.%s is negative (%d): use 0 for the default", f.name, *f.n)
		}
		if *f.n == 0 {
			*f.n = f.def
		}
	}
	if c.MaxBackoff < c.MinBackoff {
		return c, fmt.Errorf("memherd: loader.Config.Back.MaxBackoff (%v) is less than MinBackoff (%v)", c.MaxBackoff, c.MinBackoff)
	}
	if c.MaxReplayAge == 0 {
		c.MaxReplayAge = DefaultMaxReplayAge
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	return c, nil
}

// BackCounters is what write-back has done since New, and what it has yet to do.
type BackCounters struct {
	Pending   int    // keys whose newest write is not settled at the origin yet
	Replayed  uint64 // writes an earlier process had left in the journal
	Reads     uint64 // Gets answered from the writes that are pending
	Flushed   uint64 // writes that reached the origin, and its own deletes
	Coalesced uint64 // writes that never went there, because a newer one of their key did
	Failures  uint64 // calls of Store, StoreMany and Remove that failed, ErrSuperseded left out
	Refused   uint64 // writes the origin refused with ErrSuperseded
	Dead      uint64 // calls of DeadLetter, and writes that would have been given to it
	Dropped   uint64 // of these, writes struck out
	Parked    uint64 // of these, writes left to the next start
	Untold    uint64 // writes settled at the origin while the cache failed MaxAttempts times: the TTL bounds what it has
	Full      uint64 // Puts and Deletes that failed with ErrBacklogFull
}
