package loader

import (
	"sync/atomic"

	"github.com/memherd/memherd/client/item"
)

// Counters is a snapshot of what a loader has done since New. Every Get that was let
// in (valid key, open loader, live context) is counted in exactly one of NearHits,
// NodeHits, NegativeHits, Misses and Back.Reads, but for those whose context ends while the cache is asked, which
// may be counted in none.
type Counters struct {
	NearHits     uint64 // Gets answered by the near-cache in this process
	NodeHits     uint64 // Gets answered by a node
	NegativeHits uint64 // Gets answered by a remembered absence
	Misses       uint64 // Gets the cache could not answer when first asked
	Waits        uint64 // of the misses, those that joined a load another caller began
	Polls        uint64 // lease requests repeated while another process was loading

	Loads       uint64 // calls of Config.Load
	ManyLoads   uint64 // calls of Config.LoadMany
	MasterLoads uint64 // calls of Region.LoadMaster: in place of Config.Load, counted in Loads, too, or as a part of a LoadMany
	LoadErrors  uint64 // loads that failed; ErrNotFound is no failure
	NotFound    uint64 // loads that returned ErrNotFound
	Seconds     uint64 // of the loads, those begun because another of the key took long (Origin.SecondAfter)
	Shed        uint64 // loads that never began: no turn within Origin.QueueWait or LoadTimeout
	LoadLimit   uint64 // how many loads may run at once now; no count

	StaleHits     uint64 // Gets answered by a value that is due for a refresh; they are hits, too
	Refreshes     uint64 // refreshes begun in the background
	RefreshErrors uint64 // of these, those whose load failed
	StaleOnError  uint64 // loads that failed and for which a value past TTL was returned

	LeaseLost uint64 // fills refused because the key was deleted or written meanwhile
	Voided    uint64 // fills not tried because this process wrote the key meanwhile
	NotCached uint64 // values not cached: too large, codec or cache failed
	Corrupt   uint64 // times the cache held foreign or corrupt bytes
	FailOpen  uint64 // loads done without the cache because it failed

	Puts         uint64 // calls of Put
	PutErrors    uint64 // Puts that returned an error
	Deletes      uint64 // keys given to Delete and Invalidate
	DeleteErrors uint64 // of these, those that failed
	Owed         uint64 // copies that did not hear of a write and were booked as owed

	Back  BackCounters  // write-back's
	Audit AuditCounters // the staleness audit's
}

// hitStripes spreads the counters every hit must touch, so that readers of one hot
// key do not hand a cache line round. A power of two.
const hitStripes = 16

type hitCount struct {
	near, node, negative atomic.Uint64
	_                    [40]byte // with the above, one cache line
}

type counters struct {
	hits [hitStripes]hitCount

	misses, waits, polls                                                          atomic.Uint64
	loads, loadErrors, notFound, shed                                             atomic.Uint64
	manyLoads, masterLoads, seconds, staleHits, refreshes, refreshErrors, rescued atomic.Uint64
	leaseLost, voided, notCached, corrupt, failOpen                               atomic.Uint64
	puts, putErrors, deletes, deleteErrors, owedSent                              atomic.Uint64
}

// hit counts a hit in a stripe that coin chooses.
func (c *counters) hit(level item.Level, k kind, coin uint32) {
	h := &c.hits[coin%hitStripes]
	switch {
	case k == kindAbsent:
		h.negative.Add(1)
	case level == item.FromNear:
		h.near.Add(1)
	default:
		h.node.Add(1)
	}
}

// Counters returns a snapshot. Its numbers are read one after the other, so while
// calls run they may be apart by those calls.
func (l *Loader[V]) Counters() Counters {
	c := &l.count
	out := Counters{
		Misses: c.misses.Load(), Waits: c.waits.Load(), Polls: c.polls.Load(),
		Loads: c.loads.Load(), LoadErrors: c.loadErrors.Load(), NotFound: c.notFound.Load(), Shed: c.shed.Load(), LoadLimit: uint64(l.doors.now()),
		ManyLoads: c.manyLoads.Load(), MasterLoads: c.masterLoads.Load(), Seconds: c.seconds.Load(),
		StaleHits: c.staleHits.Load(), Refreshes: c.refreshes.Load(),
		RefreshErrors: c.refreshErrors.Load(), StaleOnError: c.rescued.Load(),
		LeaseLost: c.leaseLost.Load(), Voided: c.voided.Load(), NotCached: c.notCached.Load(),
		Corrupt: c.corrupt.Load(), FailOpen: c.failOpen.Load(),
		Puts: c.puts.Load(), PutErrors: c.putErrors.Load(),
		Deletes: c.deletes.Load(), DeleteErrors: c.deleteErrors.Load(), Owed: c.owedSent.Load(),
	}
	for i := range c.hits {
		out.NearHits += c.hits[i].near.Load()
		out.NodeHits += c.hits[i].node.Load()
		out.NegativeHits += c.hits[i].negative.Load()
	}
	if l.audit != nil {
		out.Audit = l.audit.counters()
	}
	if l.back != nil {
		out.Back = l.back.counters()
		out.Back.Reads = l.back.reads.Load()
	}
	return out
}
