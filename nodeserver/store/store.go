package store

import (
	"fmt"
	"hash/maphash"
	"sync"
)

// Config sizes a Store.
type Config struct {
	// MaxBytes bounds the sum of the items' Size. Default 64 MiB.
	MaxBytes int64
	// MaxItemBytes bounds the Size of one item. Default 1 MiB.
	MaxItemBytes int64
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
	maxShards = 64
	// shardItems is how many items of the largest size a shard should be able to
	// hold: with fewer, two large keys that meet in a shard evict each other.
	shardItems = 4
)

// Store is a sharded map with an LRU list per shard. All methods may be called from
// any goroutine.
type Store struct {
	seed         maphash.Seed
	maxItemBytes int
	shards       []shard
	mask         uint64
}

// shard holds a part of the keys. Its mutex guards every field.
type shard struct {
	mu       sync.Mutex
	items    map[string]*item
	lru      item // sentinel: next is the most recent, prev the least
	bytes    int64
	maxBytes int64
	onEvict  func(key []byte, m Meta, valueLen int)
	// flushAt: items last touched at this second or before are gone from this second
	// on; 0 is no flush pending.
	flushAt  uint32
	counters Counters
	_        [64]byte // shards do not share cache lines
}

// New validates cfg and returns an empty store.
func New(cfg Config) (*Store, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxItemBytes == 0 {
		cfg.MaxItemBytes = DefaultMaxItemBytes
	}
	if cfg.MaxItemBytes < 0 || cfg.MaxItemBytes > 1<<30 {
		return nil, fmt.Errorf("store: MaxItemBytes %d: need 1 byte to 1 GiB", cfg.MaxItemBytes)
	}
	if cfg.MaxBytes < cfg.MaxItemBytes {
		return nil, fmt.Errorf("store: MaxBytes %d is less than MaxItemBytes %d: raise it, or lower the item size", cfg.MaxBytes, cfg.MaxItemBytes)
	}
	n := 1
	for n < maxShards && cfg.MaxBytes/int64(2*n) >= shardItems*cfg.MaxItemBytes {
		n *= 2
	}
	s := &Store{
		seed:         maphash.MakeSeed(),
		maxItemBytes: int(cfg.MaxItemBytes),
		shards:       make([]shard, n),
		mask:         uint64(n - 1),
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.maxBytes = cfg.MaxBytes / int64(n)
		sh.onEvict = cfg.OnEvict
		sh.reset()
	}
	return s, nil
}

func (sh *shard) reset() {
	sh.items = make(map[string]*item)
	sh.lru.prev, sh.lru.next = &sh.lru, &sh.lru
	sh.bytes = 0
}

// Fits reports whether an item of this shape may be stored at all.
func (s *Store) Fits(keyLen int, clientFlags uint32, valueLen int) bool {
	return Size(keyLen, clientFlags, valueLen) <= s.maxItemBytes
}

func (s *Store) shard(key []byte) *shard {
	return &s.shards[maphash.Bytes(s.seed, key)&s.mask]
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

// FlushAt drops, from second at on, every item not stored or read after it.
func (s *Store) FlushAt(at uint32) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.flushAt = at
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
		st.Items += uint64(len(sh.items))
		st.Bytes += uint64(sh.bytes)
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
	for it := sh.lru.next; it != &sh.lru; it = it.next {
		if sh.dead(it, now) {
			continue
		}
		if !f(Info{Meta: it.Meta, Key: []byte(it.key), ValueLen: len(it.value)}) {
			return false
		}
	}
	return true
}
