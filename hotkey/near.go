package hotkey

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Value is what the near-cache holds for a key.
type Value struct {
	Bytes []byte        // read-only: every reader gets the same memory; under -race who changes it makes the Near panic
	Flags uint32        // the client flags
	CAS   uint64        // of the home copy, valid on Node in Epoch only
	TTL   time.Duration // what the node said the value still had to live when it answered; 0 = no bound known
	Node  string        // the name of the node that served it
	Epoch uint64        // the life of that node's memory
	// Missing says that there was nothing: Bytes is empty, and the entry is forgotten after Config.MissTTL.
	Missing bool
}

// Near is the near-cache: values of the hottest keys in this process's memory. All methods may be called from any
// number of goroutines. A nil Near, like one with negative Staleness, holds nothing and takes nothing.
//
// The promise (consistency rule 19): a Get that starts at s serves a value only if the request that validated it was
// sent after s − X; and a Get that starts after a Drop returned serves nothing that was read before that Drop. The
// clock is the operating system's monotonic clock, read at each hit: after a pause of the process the first read
// already knows. (A clock that stands still while the whole machine sleeps hides that sleep.)
type Near struct {
	table atomic.Pointer[table]
	base  time.Time
	x     int64 // Staleness; 0 = off, but for prefixes
	// prefixes have an X of their own; the longest first. missTTL is at most how long a miss serves, 0 = not.
	prefixes []bound
	missTTL  int64
	mixer    mixer

	limit    int64
	maxValue int

	// Lock order: a stripe's mutex, then mu; never two stripes.
	gens [nearStripes]generation

	mu      sync.Mutex // guards everything below and every write to the table's cells
	recent  *simplelru.LRU[string, *entry]
	bytes   int64
	evicted uint64
	exact   uint64 // hits that entries counted one by one before their counters were set back

	refused atomic.Uint64
	missed  atomic.Uint64
	expired atomic.Uint64
	hits    [hitStripes]struct {
		n atomic.Uint64
		_ [56]byte
	}
}

const (
	nearStripes = 256
	hitStripes  = 8
	hitSample   = 64 // of the hits an entry no longer counts one by one, one in so many is counted, for all
)

// generation makes values that were on their way while their key was written recognisable. One counter serves the keys
// of a 256th of the hash space: a write refuses the fills in flight of its stripe, which costs them one more request.
type generation struct {
	mu sync.Mutex    // held by Put from its check to its publication, and by Drop around its count and its removal
	n  atomic.Uint64 // written under mu
	_  [48]byte
}

// NewNear returns an empty near-cache. cfg nil means the defaults.
func NewNear(cfg *Config) (*Near, error) {
	c, err := cfg.withDefaults(1)
	if err != nil {
		return nil, err
	}
	recent, err := simplelru.NewLRU[string, *entry](math.MaxInt, nil) // bounded by bytes, not by number
	if err != nil {
		return nil, err
	}
	n := &Near{
		base: time.Now(), x: int64(max(0, c.Staleness)), prefixes: c.bounds(), missTTL: int64(max(0, c.MissTTL)), mixer: newMixer(c.Seed),
		limit: c.NearBytes, maxValue: c.MaxValueBytes, recent: recent,
	}
	n.table.Store(newTable(minTable))
	return n, nil
}

// Off reports whether n holds nothing and takes nothing: it is nil, or its Staleness is negative and it has no Prefixes.
func (n *Near) Off() bool { return n == nil || n.x == 0 && len(n.prefixes) == 0 }

// Get returns the value held for key, if it may serve a read that starts now. hash is the ring's hash of key. It takes
// no lock, allocates nothing, and writes to shared memory only for the first hits after each validation and one in
// some 64 later ones. A miss does not read the clock.
func (n *Near) Get(hash uint64, key string) (Value, bool) {
	e, _ := n.read(hash, key)
	if e == nil {
		return Value{}, false
	}
	if e.value.Missing {
		n.missed.Add(1)
	}
	return e.value, true
}

// Value is Get for readers to whom a remembered miss is no answer: it finds none, and counts none.
func (n *Near) Value(hash uint64, key string) (Value, bool) {
	e, _ := n.read(hash, key)
	if e == nil || e.value.Missing {
		return Value{}, false
	}
	return e.value, true
}

// read returns the entry that answers a read of key which starts now, and the time by since; nil if there is none.
func (n *Near) read(hash uint64, key string) (*entry, int64) {
	if n == nil {
		return nil, 0
	}
	h := n.mixer.mix(hash)
	e := n.table.Load().find(h, key)
	if e == nil {
		return nil, 0
	}
	// The clock is read after the read began, so it can only refuse too much; and before the deadline, so that an entry
	// renewed in between is judged by the older time.
	now := n.since()
	if now >= e.deadline.Load() {
		n.expired.Add(1)
		return nil, 0
	}
	if e.reads.Load() < readsCounted {
		e.reads.Add(1)
	} else if r := (uint64(now) ^ h) * 0x9e3779b97f4a7c15; r>>58 == 0 && !e.value.Missing {
		// The clock's nanoseconds are the coin: a random number would cost a third of the hit.
		n.hits[r>>55&(hitStripes-1)].n.Add(hitSample)
	}
	return e, now
}

// Recent returns how many reads the entry of key, which may have run out, has answered since it was last validated, up to 64.
// It is false if there is none. An entry that has run out is remembered for 2·X where somebody calls InUse or Due.
func (n *Near) Recent(hash uint64, key string) (reads int, ok bool) {
	if n.Off() {
		return 0, false
	}
	e := n.table.Load().find(n.mixer.mix(hash), key)
	if e == nil || e.value.Missing {
		return 0, false
	}
	return int(e.reads.Load()), true
}

// Generation returns the key's generation, to be taken before a request for it is sent and given to Put or Renew with
// the answer.
func (n *Near) Generation(hash uint64) uint64 {
	if n.Off() {
		return 0
	}
	return n.stripe(n.mixer.mix(hash)).n.Load()
}

func (n *Near) stripe(h uint64) *generation { return &n.gens[h>>56] }

// Drop forgets the key and refuses every value of it that is still on its way. A writer calls it before it sends the
// write and again when the write's outcome is known (or given up), before it returns to its caller.
//
// Step by step, why no value from before the write serves after it:
//
//  1. Reader R takes generation 7 and sends its get.
//  2. Writer W calls Drop: generation 8; the entry, if any, is dead. W sends its write.
//  3. R's answer is the old value. Put sees 7 ≠ 8 and refuses it.
//  4. Reader S takes generation 8 now, while the write is on its way; its get overtakes the write and brings the old
//     value; Put accepts it: nothing is confirmed yet, so the old value is as good as the new.
//  5. The write is confirmed. W calls Drop again: generation 9, S's entry is dead. A reader like S whose answer is
//     still on its way is refused from here on.
//  6. W returns. Whoever takes generation 9 sends its get after the confirmation and gets the new value.
//
// That Put's check and its publication, and Drop's count and its removal, exclude each other (both under the stripe's
// mutex) is what leaves no fifth place: either Put sees the new generation or Drop sees the published entry.
func (n *Near) Drop(hash uint64, key string) {
	if n.Off() {
		return
	}
	h := n.mixer.mix(hash)
	g := n.stripe(h)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n.Add(1)
	// No entry of this key can be published while g.mu is held, so not finding one here means there is none. It may be
	// evicted meanwhile, hence the second look under mu.
	if n.table.Load().find(h, key) == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.table.Load().find(h, key); e != nil {
		n.discard(e)
	}
}

// DropNode forgets every value the node served and refuses everything that is still on its way, from any node: the
// node's epoch has changed, or it is no longer trusted.
func (n *Near) DropNode(node string) {
	n.dropIf(func(e *entry) bool { return e.value.Node == node })
}

// DropAll forgets everything and refuses everything that is on its way.
func (n *Near) DropAll() { n.dropIf(func(*entry) bool { return true }) }

func (n *Near) dropIf(match func(*entry) bool) {
	if n.Off() {
		return
	}
	// First the generations, then the entries: what was published under an old generation was published before its
	// stripe's lock was taken here, so the walk below sees it.
	for i := range n.gens {
		n.gens[i].mu.Lock()
		n.gens[i].n.Add(1)
		n.gens[i].mu.Unlock()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.recent.Values() {
		if match(e) {
			n.discard(e)
		}
	}
}

// discard takes e out of everything. The deadline goes first, for readers that already hold e or an older table. The
// caller holds mu.
func (n *Near) discard(e *entry) {
	e.seal.check(e.value.Bytes)
	e.deadline.Store(dead)
	n.table.Load().remove(e)
	n.recent.Remove(e.key)
	n.bytes -= e.size
	if !e.value.Missing {
		n.exact += uint64(e.reads.Load())
	}
}

// NearStats is a reading of a near-cache.
type NearStats struct {
	Entries   int    // values held, expired ones included
	Bytes     int64  // their keys, values and overhead; never over Config.NearBytes
	Hits      uint64 // reads served: exact while entries are read seldom, else within a percent or so (one in 64 counted)
	Misses    uint64 // reads answered by a remembered miss; not among Hits
	Expired   uint64 // reads that found an entry past its deadline; other misses are not counted, they cost too little
	Evictions uint64 // values that had to make room
	Refused   uint64 // fills and renewals refused: own write in between, too late, older than what is held, too large
}

// Len is how many values and misses are held, expired ones included.
func (n *Near) Len() int {
	if n.Off() {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.recent.Len()
}

// Stats returns the counters since the start.
func (n *Near) Stats() NearStats {
	if n.Off() {
		return NearStats{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	st := NearStats{
		Entries: n.recent.Len(), Bytes: n.bytes, Evictions: n.evicted, Hits: n.exact,
		Misses: n.missed.Load(), Expired: n.expired.Load(), Refused: n.refused.Load(),
	}
	for _, e := range n.recent.Values() {
		if !e.value.Missing {
			st.Hits += uint64(e.reads.Load())
		}
	}
	for i := range n.hits {
		st.Hits += n.hits[i].n.Load()
	}
	return st
}
