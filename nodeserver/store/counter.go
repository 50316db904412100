package store

// Counter names an event that is counted under the shard's lock, so that counting
// costs no atomic operation and no shared cache line.
type Counter uint8

// The counters, by memcached's names in stats.
const (
	CmdGet Counter = iota
	CmdSet
	CmdTouch
	CmdMeta
	GetHits
	GetMisses
	GetExpired
	GetFlushed
	DeleteHits
	DeleteMisses
	IncrHits
	IncrMisses
	DecrHits
	DecrMisses
	CasHits
	CasMisses
	CasBadval
	TouchHits
	TouchMisses
	StoreTooLarge
	StoreNoMemory
	TotalItems
	Evictions
	EvictedUnfetched
	ExpiredUnfetched
	Reclaimed

	numCounters
)

// Counters is a sum over all shards.
type Counters [numCounters]uint64

// Stats is what the store holds and has counted.
type Stats struct {
	Items uint64
	// Bytes is the sum of the items' Size.
	Bytes uint64
	// Held is the memory of everything stored, index included.
	Held uint64
	// Index is the index's part of it.
	Index    uint64
	Counters Counters
}
