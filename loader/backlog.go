package loader

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/memherd/memherd/client/item"
)

// backlog holds the writes that are in the journal and not yet at the origin: at most one
// a key that waits, the newest, and one more that a worker has in hand. It knows their
// order and nothing of values.
//
// A key's entry goes through these steps:
//
//	hold      a Put is about to journal a write of the key
//	publish   the write is lasting: from here on this process reads it
//	letGo     the Put has seen to the copies: a worker may have it
//	take      a worker has it; a write published from now on waits
//	finish    the origin has it, and the copies are seen to
//
// so that the origin gets the writes of a key one after the other, in the order of Seq.
type backlog struct {
	count   atomic.Int64 // len of entries with a newest, so that a read takes no lock when there are none
	closing context.Context
	refuse  context.CancelFunc // ends closing: nobody waits for room any more
	keys    *semaphore.Weighted
	bytes   *semaphore.Weighted
	most    int64 // how many bytes may be pending
	// What an earlier process left may be more than may be pending. The semaphores have room for it, and that much is not given back.
	overKeys, overBytes atomic.Int64

	mu      sync.Mutex // guards what follows and the entries; a leaf
	wake    *sync.Cond // ready has something and nobody lingers, or stopped is set
	full    *sync.Cond // who lingers has waited enough
	linger  lingering
	entries map[string]*entry
	ready   []*entry          // in order of arrival
	parked  map[string]Record // left in the journal to the next start; without their values
	stopped bool

	// For Flush: round is the number of Flush calls so far, open counts the writes by the
	// round they were published in, and ended is closed and replaced when a round has
	// none left.
	round uint64
	open  map[uint64]int
	ended chan struct{}

	stats BackCounters
}

type entry struct {
	key    string
	held   int           // Puts between hold and letGo: the entry stays, and with it last
	newest *pending      // published and not finished
	last   uint64        // the highest Seq published; older writes are no longer wanted
	hand   *pending      // what a worker has in hand
	queued bool          // it is in ready
	pause  *time.Timer   // after a failure; nil when none runs
	clear  chan struct{} // closed when newest becomes nil; nil while nobody waits for that

	// copies is held, by a value in it, by who changes the key on the cache's copies: the
	// newest write's value must be what is put there last. It orders before backlog.mu.
	copies chan struct{}
	cached uint64     // Seq of the write the copies were last told of; guarded by copies
	kept   item.Lease // stores that one again; the zero Lease if it can't; guarded by copies
}

// pending is one write of an entry. Its fields change only in the worker's hands, but for
// round, told and aside, which backlog.mu guards.
type pending struct {
	rec      Record
	cost     int64 // of bytes
	round    uint64
	told     bool // the copies have heard of it, as far as they could; guarded by backlog.mu
	replayed bool
	old      bool // too old to be replayed: for DeadLetter only; does not change
	aside    bool // this process has given it up, and the next start is to have it; guarded by backlog.mu
	stored   bool // the origin has it, or it is not to get it: only the copies are left
	dropped  bool // the origin refused it, or DeadLetter took it
	untold   bool // the copies could not be told of that just now
	tries    int
}

// newBacklog returns a backlog with what an earlier process left; tooOld says of which of it that it is not to reach the origin any more.
func newBacklog(keys int, bytes int64, replay []Record, tooOld func(Record) bool) *backlog {
	size, number := int64(0), int64(len(replay))
	for _, r := range replay {
		size += cost(r)
	}
	// What an earlier process left may be more than this one allows: then nothing is let
	// in before enough of it has gone.
	b := &backlog{
		keys: semaphore.NewWeighted(max(int64(keys), number)), bytes: semaphore.NewWeighted(max(bytes, size)), most: bytes,
		entries: make(map[string]*entry), open: make(map[uint64]int), ended: make(chan struct{}),
	}
	b.overKeys.Store(max(number-int64(keys), 0))
	b.overBytes.Store(max(size-bytes, 0))
	b.closing, b.refuse = context.WithCancel(context.Background())
	b.wake, b.full = sync.NewCond(&b.mu), sync.NewCond(&b.mu)
	b.stats.Replayed = uint64(len(replay))
	for _, r := range replay {
		p := &pending{rec: r, cost: cost(r), replayed: true, old: tooOld(r)}
		b.keys.TryAcquire(1)
		b.bytes.TryAcquire(p.cost)
		e := b.hold(r.Key)
		b.publish(e, p)
		b.letGo(e)
	}
	return b
}

// cost is about what a write keeps in memory.
func cost(r Record) int64 { return int64(len(r.Key) + len(r.Value) + 200) }

// room waits for room for so many writes of so many bytes in all, and returns the bytes
// that were taken: less only if there are not that many. Who has room for keys may wait
// for bytes; who has those waits for nothing but the journal, so nobody waits for ever.
func (b *backlog) room(ctx context.Context, keys, bytes int64) (int64, error) {
	bytes = min(bytes, b.most)
	if b.tryRoom(keys, bytes) {
		return bytes, nil
	}
	callers := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(b.closing, cancel)
	defer stop()
	defer b.hasten()()
	err := b.keys.Acquire(ctx, keys)
	if err == nil {
		if err = b.bytes.Acquire(ctx, bytes); err == nil {
			return bytes, nil
		}
		b.keys.Release(keys)
	}
	if err := callers.Err(); err != nil { // not its cause, by which nobody knows a timeout
		return 0, err
	}
	return 0, ErrClosed
}

// tryRoom is room that does not wait.
func (b *backlog) tryRoom(keys, bytes int64) bool {
	if !b.keys.TryAcquire(keys) {
		return false
	}
	if !b.bytes.TryAcquire(bytes) {
		b.keys.Release(keys)
		return false
	}
	return true
}

// free gives back the room of one write.
func (b *backlog) free(bytes int64) {
	b.bytes.Release(lessOver(&b.overBytes, bytes))
	b.keys.Release(lessOver(&b.overKeys, 1))
}

// lessOver is what is left of n when what is over has been taken from it.
func lessOver(over *atomic.Int64, n int64) int64 {
	for {
		o := over.Load()
		if o == 0 || over.CompareAndSwap(o, o-min(o, n)) {
			return n - min(o, n)
		}
	}
}

// hold returns the entry of key, which stays until letGo.
func (b *backlog) hold(key string) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[key]
	if e == nil {
		e = &entry{key: key, copies: make(chan struct{}, 1)}
		b.entries[key] = e
	}
	e.held++
	return e
}

// publish makes p what is read of its key. A write that comes after a newer one of its
// key has been there is dropped: the newer one stands for both. That happens when the
// goroutine of the older Put is held up on its way from the journal to here, and is why
// the entry is held from before the journal on.
func (b *backlog) publish(e *entry, p *pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.round = b.round
	if p.rec.Version.Seq < e.last {
		b.stats.Coalesced++
		b.free(p.cost)
		return
	}
	e.last = p.rec.Version.Seq
	switch old := e.newest; {
	case old == nil:
		b.count.Add(1)
	case old == e.hand:
		// Its round ends with the worker's work: see finish and giveUp.
		b.free(old.cost)
	default:
		if !old.stored {
			b.stats.Coalesced++
		}
		b.free(old.cost)
		b.leave(old.round)
		p.round = old.round // a Flush that waits for old waits for p instead
	}
	e.newest = p
	b.open[p.round]++
}

// letGo ends hold.
func (b *backlog) letGo(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.held--
	b.offer(e)
}

// offer queues e if there is something to do, and forgets it if there never will be. The
// caller holds b.mu.
func (b *backlog) offer(e *entry) {
	switch {
	case e.newest == nil && e.held == 0 && e.hand == nil:
		delete(b.entries, e.key)
	case !e.queued && e.due():
		e.queued = true
		b.ready = append(b.ready, e)
		b.arrived()
	}
}

// due reports whether a worker may have e's newest write. The caller holds backlog.mu.
//
// A write goes to the origin only when the copies have been told of it. Otherwise:
//
//  1. a worker stores our value at the origin;
//  2. another process stores a newer one there, and deletes the key from the copies;
//  3. our Put, late, stores our value on the copies;
//  4. nobody has changed the copies since, so that we store it again: older than the origin.
func (e *entry) due() bool {
	return e.newest != nil && e.hand == nil && e.pause == nil && (e.newest.told || e.held == 0)
}

// leave takes one write from a round. The caller holds b.mu.
func (b *backlog) leave(round uint64) {
	if b.open[round]--; b.open[round] == 0 {
		delete(b.open, round)
		close(b.ended)
		b.ended = make(chan struct{})
	}
}

// newest returns the write of key that this process reads.
func (b *backlog) newest(key string) (Record, bool) {
	if b.count.Load() == 0 {
		return Record{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[key]; e != nil && e.newest != nil && !e.newest.old && !e.newest.aside {
		return e.newest.rec, true
	}
	return Record{}, false
}

// job is one write in a worker's hands.
type job struct {
	e *entry
	p *pending
}

// take waits for work and returns up to most writes, of different keys; none when the
// backlog has been stopped. If there are fewer it waits for more, for up to linger.
func (b *backlog) take(most int, linger time.Duration) (jobs []job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(jobs) == 0 {
		for (len(b.ready) == 0 || b.linger.want > 0) && !b.stopped {
			b.wake.Wait()
		}
		b.gather(most, linger)
		if b.stopped {
			return nil
		}
		for len(jobs) < most && len(b.ready) > 0 {
			e := b.ready[0]
			b.ready[0] = nil
			b.ready = b.ready[1:]
			e.queued = false
			if e.due() { // a newer write may have come since it was queued
				e.hand = e.newest
				jobs = append(jobs, job{e, e.hand})
			}
		}
	}
	if len(b.ready) == 0 {
		b.ready = nil // let go of the array that was walked through
	} else {
		b.wake.Signal() // for what came while this worker lingered
	}
	return jobs
}

// isNewest reports whether no newer write of the key has been published.
func (b *backlog) isNewest(j job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return j.e.newest == j.p
}
