package store

import (
	"hash/maphash"
	"sync"
)

// shard holds a part of the keys. Its mutex guards every field that changes.
type shard struct {
	mu       sync.Mutex
	seed     maphash.Seed
	policy   Policy
	noEvict  bool
	onEvict  func(key []byte, m Meta, valueLen int)
	maxBytes int64 // bound of held
	segBytes int
	// largeBytes and more get a segment of their own.
	largeBytes int
	// An address is a segment's number, and below it, in offBits bits (offMask), the
	// offset in it in units of recordAlign.
	offBits uint8
	offMask uint32

	segs     []segment
	freeSegs []uint32
	// head is the segment that is appended to, by queue; 0 for none.
	head [numQueues]uint32
	// queueHeld is the memory of each queue's segments.
	queueHeld [numQueues]int64
	index     index
	ghosts    ghosts
	// held is the memory of all segments in bytes; the index's comes on top, see full.
	held int64
	// dead is how many bytes of shared segments belong to dead records.
	dead int64
	// spare is a segment's memory between two uses; it lives only until room is
	// wanted for something else.
	spare []byte
	// bytes is the sum of the items' Size.
	bytes int64
	// clock orders accesses: see stamp.
	clock stamp
	// flushAt: items last touched at this second or before are gone from this second
	// on; 0 is no flush pending.
	flushAt uint32
	// nextWake is the least wake of all segments, or less.
	nextWake uint32
	counters Counters
	// scratch lists records while room is made; old holds a value while it is put
	// together with another.
	scratch []found
	old     []byte
	_       [64]byte // shards do not share cache lines
}

// stamp is a moment on the shard's own clock: the second, and within it the number of
// the access, as far as 16 bits count.
type stamp uint64

const rankBits = 16

func stampOf(second uint32, rank uint16) stamp { return stamp(second)<<rankBits | stamp(rank) }

// tick is the stamp of an access at second now.
func (sh *shard) tick(now uint32) stamp {
	if uint32(sh.clock>>rankBits) != now {
		sh.clock = stampOf(now, 0)
	} else if sh.clock&(1<<rankBits-1) != 1<<rankBits-1 {
		sh.clock++
	}
	return sh.clock
}

func (sh *shard) reset() {
	sh.segs = append(sh.segs[:0:0], segment{}, segment{prev: 1, next: 1})
	sh.freeSegs = nil
	sh.head = [numQueues]uint32{}
	sh.queueHeld = [numQueues]int64{}
	sh.index = index{}
	sh.ghosts = ghosts{}
	sh.held, sh.dead, sh.bytes = 0, 0, 0
	sh.spare, sh.scratch, sh.old = nil, nil, nil
	sh.nextWake = never
}

func (sh *shard) hash(key []byte) uint64 { return maphash.Bytes(sh.seed, key) }

// find looks key up; 0 when it is not there.
func (sh *shard) find(h uint64, key []byte) uint32 {
	if sh.index.n == 0 {
		return 0
	}
	tag := tagOf(h)
	b := sh.index.home(h)
	for {
		for i, addr := range b.addrs {
			if addr == 0 {
				return 0
			}
			if b.tags[i] == tag && string(sh.record(addr).key()) == string(key) {
				return addr
			}
		}
		if b.next == 0 {
			return 0
		}
		b = sh.index.overflow(b.next)
	}
}

// expired reports whether a record's TTL has run out.
func expired(r record, now uint32) bool { e := r.expiry(); return e != 0 && e <= now }

// flushed reports whether a delayed flush_all has caught up with it.
func (sh *shard) flushed(r record, now uint32) bool {
	return sh.flushAt != 0 && sh.flushAt <= now && r.access() <= sh.flushAt
}

func (sh *shard) gone(r record, now uint32) bool { return expired(r, now) || sh.flushed(r, now) }

// kill takes the record at addr out. Its segment goes with the last one in it, except
// one that is appended to, which starts anew.
func (sh *shard) kill(h uint64, addr uint32) {
	sh.index.remove(h, addr)
	r := sh.record(addr)
	sh.bytes -= int64(r.size())
	n := r.bytes()
	r[offBits] |= byte(deadBit)
	id := addr >> sh.offBits
	s := &sh.segs[id]
	s.live -= n
	if !s.large {
		sh.dead += int64(n)
	}
	switch {
	case s.live > 0:
	case sh.head[s.queue] == id:
		sh.dead -= int64(s.used)
		s.used, s.expiring = 0, 0
	default:
		sh.freeSegment(id)
	}
}

// evict kills a live record for want of room.
func (sh *shard) evict(h uint64, addr uint32, r record) {
	sh.counters[Evictions]++
	if r.bits()&Fetched == 0 {
		sh.counters[EvictedUnfetched]++
	}
	if sh.onEvict != nil {
		sh.onEvict(r.key(), r.meta(), r.valueLen())
	}
	sh.kill(h, addr)
}

// reclaim kills a record whose time is over.
func (sh *shard) reclaim(addr uint32, r record) {
	sh.counters[Reclaimed]++
	if r.bits()&Fetched == 0 {
		sh.counters[ExpiredUnfetched]++
	}
	sh.kill(sh.hash(r.key()), addr)
}

// growIndex makes room for one more entry before it is inserted: a split may need
// memory, and that must not be taken from the very item that is stored. Where nothing may
// be evicted for it, it waits until there is some: what is looked up then takes longer.
func (sh *shard) growIndex(now uint32) {
	if sh.index.items < int(sh.index.n)*fill || sh.noEvict && sh.held+sh.index.growth() > sh.maxBytes {
		return
	}
	before := sh.index.held()
	sh.index.grow(func(addr uint32) uint64 { return sh.hash(sh.record(addr).key()) })
	sh.held += sh.index.held() - before
	for tries := 0; sh.held > sh.maxBytes && sh.recycle(now, tries); tries++ {
	}
}

// insert enters a new record into the index.
func (sh *shard) insert(h uint64, addr uint32) {
	before := sh.index.nOver
	fresh := sh.index.n == 0
	was := int64(0)
	if !fresh {
		was = sh.index.held()
	}
	sh.index.insert(h, addr)
	if fresh || sh.index.nOver != before {
		sh.held += sh.index.held() - was
	}
}
