package store

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// Config sizes a Store.
type Config struct {
	// MaxBytes bounds the memory of everything stored, index included. Default 64 MiB,
	// at least 4 KiB. Nothing is allocated before it is needed.
	MaxBytes int64
	// MaxItemBytes bounds the Size of one item. Default 1 MiB, at most 1 GiB.
	MaxItemBytes int64
	// Policy says which items go when room is needed. Default LRU.
	Policy Policy
	// NoEvict refuses to store instead of evicting: see Tx.Put.
	NoEvict bool
	// OnEvict, when set, is told of every live item that has to go for another. It
	// runs under the lock of a shard: it must be quick and must not call the store.
	// Key is its for the call only.
	OnEvict func(key []byte, m Meta, valueLen int)
}

// Default sizes in bytes, memcached's.
const (
	DefaultMaxBytes     = 64 << 20
	DefaultMaxItemBytes = 1 << 20
)

const (
	leastMaxBytes = 4 << 10
	maxShards     = 64
	// shardItems is how many items of the largest size a shard should be able to
	// hold: with fewer, two large keys that meet in a shard evict each other.
	shardItems = 4
	// shardSegments is into how many segments a shard is cut at least: the one that is
	// appended to is half empty on average.
	shardSegments = 64
	leastSegment  = 256
	// maxSegment bounds how long a shard is locked while a segment is recycled.
	maxSegment = 256 << 10
	// maxLarge is the most that a record has and yet shares a segment: of what fits
	// badly into the end of one as much as this is lost.
	maxLarge = 4 << 10
)

// Store is a sharded map of items. All methods may be called from any goroutine.
type Store struct {
	seed         maphash.Seed
	maxItemBytes int
	maxBytes     atomic.Int64
	shards       []shard
	shift        uint // of a hash, to the number of its shard
}

// New validates cfg and returns an empty store.
func New(cfg Config) (*Store, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxItemBytes == 0 {
		cfg.MaxItemBytes = DefaultMaxItemBytes
	}
	switch {
	case cfg.MaxItemBytes < 0 || cfg.MaxItemBytes > 1<<30:
		return nil, fmt.Errorf("store: MaxItemBytes %d: need 1 byte to 1 GiB", cfg.MaxItemBytes)
	case cfg.MaxBytes < leastMaxBytes:
		return nil, fmt.Errorf("store: MaxBytes %d: need %d at least", cfg.MaxBytes, leastMaxBytes)
	case cfg.MaxBytes < cfg.MaxItemBytes:
		return nil, fmt.Errorf("store: MaxBytes %d is less than MaxItemBytes %d: raise it, or lower the item size", cfg.MaxBytes, cfg.MaxItemBytes)
	case cfg.Policy >= numPolicies:
		return nil, fmt.Errorf("store: there is no Policy %d", cfg.Policy)
	}
	n := 1
	for n < maxShards && cfg.MaxBytes/int64(2*n) >= shardItems*cfg.MaxItemBytes {
		n *= 2
	}
	s := &Store{
		seed:         maphash.MakeSeed(),
		maxItemBytes: int(cfg.MaxItemBytes),
		shards:       make([]shard, n),
		shift:        uint(64 - bits.Len(uint(n-1))),
	}
	s.maxBytes.Store(cfg.MaxBytes)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.seed, sh.policy, sh.noEvict, sh.onEvict = s.seed, cfg.Policy, cfg.NoEvict, cfg.OnEvict
		sh.size(cfg.MaxBytes / int64(n))
		sh.reset()
	}
	return s, nil
}

// size derives the shard's measures from its memory.
func (sh *shard) size(maxBytes int64) {
	sh.maxBytes = maxBytes
	sh.segBytes = leastSegment
	for sh.segBytes < maxSegment && int64(2*sh.segBytes) <= maxBytes/shardSegments {
		sh.segBytes *= 2
	}
	sh.offBits = uint8(bits.Len(uint(sh.segBytes/recordAlign - 1)))
	sh.offMask = 1<<sh.offBits - 1
	// Large records must not need more segments than addresses can name.
	sh.largeBytes = max(min(sh.segBytes/8, maxLarge), int(maxBytes>>(31-sh.offBits)))
	sh.largeBytes = min(sh.largeBytes, sh.segBytes)
}

// Fits reports whether an item of this shape may be stored at all.
func (s *Store) Fits(keyLen int, clientFlags uint32, valueLen int) bool {
	return Size(keyLen, clientFlags, valueLen) <= s.maxItemBytes && keyLen <= maxKeyLen
}

func (s *Store) shard(key []byte) (*shard, uint64) {
	h := maphash.Bytes(s.seed, key)
	return &s.shards[h>>s.shift], h
}

// MaxBytes is the present bound.
func (s *Store) MaxBytes() int64 { return s.maxBytes.Load() }

// SetMaxBytes changes the bound; what is too much for it goes, as far as it may. False:
// the largest item would not fit into one of the store's parts, or nothing may be evicted.
func (s *Store) SetMaxBytes(n int64, now uint32) bool {
	each := n / int64(len(s.shards))
	least := int64(s.maxItemBytes) + chunkBytes
	if s.shards[0].policy == S3FIFO {
		least += ghostsHold(each)
	}
	if each < least {
		return false
	}
	ok := true
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.maxBytes = each
		sh.spare = nil
		sh.forgetDropped() // as much of it as the new bound asks for comes with the next drop
		tries := 0
		for ok && sh.held > each {
			ok = sh.recycle(now, tries)
			tries++
		}
		sh.mu.Unlock()
	}
	s.maxBytes.Store(n)
	return ok
}

// Clear drops every item at once.
func (s *Store) Clear() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.reset()
		sh.flushAt = 0
		sh.mu.Unlock()
	}
}

// FlushAt drops, from second at on, every item not stored or read after it; now is the
// present second. It takes the place of an earlier call that has not come due.
func (s *Store) FlushAt(at, now uint32) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.finishFlush(now)
		sh.flushAt = at
		for id := range sh.segs {
			sh.segs[id].wake = min(sh.segs[id].wake, at)
		}
		sh.nextWake = min(sh.nextWake, at)
		sh.mu.Unlock()
	}
}

// Count counts an event that belongs to no item.
func (s *Store) Count(c Counter) {
	sh := &s.shards[0]
	sh.mu.Lock()
	sh.counters[c]++
	sh.mu.Unlock()
}

// Stats sums up all shards, one after the other: not a snapshot of one moment.
func (s *Store) Stats() Stats {
	var st Stats
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		st.Items += uint64(sh.index.items)
		st.Bytes += uint64(sh.bytes)
		st.Held += uint64(sh.held)
		st.Index += uint64(sh.index.held())
		for c, n := range sh.counters {
			st.Counters[c] += n
		}
		sh.mu.Unlock()
	}
	return st
}

// ResetCounters sets all counters to zero; what is stored stays.
func (s *Store) ResetCounters() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.counters = Counters{}
		sh.mu.Unlock()
	}
}

// Info is one item as Each shows it.
type Info struct {
	Meta
	Key      []byte
	ValueLen int
}

// Each calls f for every live item, one shard at a time under its lock, until f
// returns false. f must be quick and must not call the store; Key is its for the
// call only.
func (s *Store) Each(now uint32, f func(Info) bool) {
	for i := range s.shards {
		if !s.shards[i].each(now, f) {
			return
		}
	}
}

func (sh *shard) each(now uint32, f func(Info) bool) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for id := firstSegment; id < uint32(len(sh.segs)); id++ {
		if !sh.eachIn(id, now, f) {
			return false
		}
	}
	return true
}

// eachIn is each for one segment.
func (sh *shard) eachIn(id, now uint32, f func(Info) bool) bool {
	s := &sh.segs[id]
	for off := 0; off < s.used; {
		r := record(s.buf[off:])
		off += r.bytes()
		if r.dead() || sh.gone(r, now) {
			continue
		}
		if !f(Info{Meta: r.meta(), Key: r.key(), ValueLen: r.valueLen()}) {
			return false
		}
	}
	return true
}

// Place is how far EachFrom has come. The zero value is the beginning.
type Place struct {
	shard int
	seg   uint32
}

// EachFrom is Each in parts, for who cannot take everything at once: when f has returned
// false it is called for the few items that lie together with that one, and then no more.
// Unless that was all, more is true, and the next call goes on from next. An item that is
// written, or moved to make room, between two parts may be shown twice or left out.
func (s *Store) EachFrom(from Place, now uint32, f func(Info) bool) (next Place, more bool) {
	full := false
	all := func(i Info) bool {
		full = !f(i) || full
		return true
	}
	for ; from.shard < len(s.shards); from = (Place{shard: from.shard + 1}) {
		sh := &s.shards[from.shard]
		sh.mu.Lock()
		for id := max(from.seg, firstSegment); id < uint32(len(sh.segs)) && !full; id++ {
			sh.eachIn(id, now, all)
			from.seg = id + 1
		}
		sh.mu.Unlock()
		if full {
			return from, true
		}
	}
	return from, false
}
