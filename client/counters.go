package client

import "sync/atomic"

// counters are bumped at most once a call on the hot path: two processors that write
// one cache line hundreds of thousands of times a second wait for each other.
type counters struct {
	nodeHits, misses, readErrors atomic.Uint64
	sets, deletes, fills, errors atomic.Uint64
	leasesWon, leasesLost, late  atomic.Uint64
	failovers, owed, orphans     atomic.Uint64
	restored, steered, differed  atomic.Uint64
	hedged, hedgesWon            atomic.Uint64
	retriesRefused               atomic.Uint64
	gutterReads, gutterWrites    atomic.Uint64
	quarantines                  atomic.Uint64
	spread, revalidated          atomic.Uint64
	scattered, scatterFills      atomic.Uint64
}

// Counters are a Client's totals since New.
type Counters struct {
	// Gets counts reads: NearHits were served from memory, NodeHits by a node, Misses
	// by nobody, be it that memory remembered so; the rest failed.
	Gets, NearHits, NodeHits, Misses uint64
	// Sets counts writes, Deletes keys deleted, Fills lease fills tried.
	Sets, Deletes, Fills uint64
	// LeasesWon counts rights to fill that were won, LeasesLost those voided by a
	// delete or a write before the fill.
	// LateWins counts rights to fill whose winner had left, given back for it; Orphans
	// rights that were lost with a connection, looked for and removed once the node
	// answered again.
	LeasesWon, LeasesLost, LateWins, Orphans uint64
	// Restored counts copies that were brought back to a node that had lost its memory, or
	// was new.
	Restored uint64
	// Steered counts reads served by another copy because the owner was slow, or in another
	// zone than Config.ReadZone.
	Steered uint64
	// Spread counts reads of hot keys that another copy than the owner served, for the sake of the load. Revalidated
	// counts the requests by which the near-cache asked whether what it holds is still so.
	Spread, Revalidated uint64
	// Scattered counts reads that a suffix copy answered, ScatterFills the times that one was filled. See hotkey.Scatter.
	Scattered, ScatterFills uint64
	// Differed counts the comparisons that found another client to place keys differently: a
	// few while a change is under way, and one a second and node as long as it lasts.
	Differed uint64
	// Hedged counts reads that were slow and asked of a second copy, HedgesWon those of them
	// that it answered first. RetriesRefused counts reads that failed because the budget of
	// retries was spent.
	Hedged, HedgesWon, RetriesRefused uint64
	// Quarantines counts the times that a node was kept out of reads for Config.RejoinDelay.
	Quarantines uint64
	// GutterReads counts reads of keys on gutter nodes, found or not, GutterWrites what Set
	// stored there.
	GutterReads, GutterWrites uint64
	// Failovers counts reads that left a node for the next copy, Errors calls that
	// failed, Owed copies booked as debt.
	Failovers, Errors, Owed uint64
}

// Counters returns the totals since New. They are read one by one, so they may
// disagree by calls under way.
func (c *Client) Counters() Counters {
	near := c.near.Stats()
	n := Counters{
		Scattered: c.counters.scattered.Load(), ScatterFills: c.counters.scatterFills.Load(),
		NearHits: near.Hits, Spread: c.counters.spread.Load(), Revalidated: c.counters.revalidated.Load(),
		NodeHits: c.counters.nodeHits.Load(), Misses: c.counters.misses.Load() + near.Misses,
		Sets: c.counters.sets.Load(), Deletes: c.counters.deletes.Load(), Fills: c.counters.fills.Load(),
		LeasesWon: c.counters.leasesWon.Load(), LeasesLost: c.counters.leasesLost.Load(),
		LateWins: c.counters.late.Load(), Orphans: c.counters.orphans.Load(), Restored: c.counters.restored.Load(), Steered: c.counters.steered.Load(), Differed: c.counters.differed.Load(),
		Hedged: c.counters.hedged.Load(), HedgesWon: c.counters.hedgesWon.Load(), RetriesRefused: c.counters.retriesRefused.Load(),
		Quarantines: c.counters.quarantines.Load(),
		GutterReads: c.counters.gutterReads.Load(), GutterWrites: c.counters.gutterWrites.Load(), Failovers: c.counters.failovers.Load(), Owed: c.counters.owed.Load(),
	}
	failed := c.counters.readErrors.Load()
	n.Gets = n.NearHits + n.NodeHits + n.Misses + failed
	n.Errors = failed + c.counters.errors.Load()
	return n
}
