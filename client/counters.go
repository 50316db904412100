package client

import "sync/atomic"

// counters is striped nowhere: each is bumped once per call that has made a system
// call, or, for near hits, counted by the near-cache itself.
type counters struct {
	gets, nodeHits, misses        atomic.Uint64
	sets, deletes, fills          atomic.Uint64
	leasesWon, leasesLost, stale  atomic.Uint64
	failovers, errors, owed, late atomic.Uint64
}

// Counters are a Client's totals since New.
type Counters struct {
	// Gets counts keys asked for by any read, NearHits those served from memory,
	// NodeHits by a node, Misses by nobody.
	Gets, NearHits, NodeHits, Misses uint64
	// Sets counts writes, Deletes keys deleted, Fills lease fills tried.
	Sets, Deletes, Fills uint64
	// LeasesWon counts rights to fill that were won, LeasesLost those voided by a
	// delete or a write before the fill.
	LeasesWon, LeasesLost uint64
	// Failovers counts reads that left a node for the next copy, Errors calls that
	// failed, Owed copies booked as debt.
	Failovers, Errors, Owed uint64
}

// Counters returns the totals since New. They are read one by one, so they may
// disagree by calls under way.
func (c *Client) Counters() Counters {
	near := c.near.Stats().Hits
	return Counters{
		Gets: c.counters.gets.Load() + near, NearHits: near,
		NodeHits: c.counters.nodeHits.Load(), Misses: c.counters.misses.Load(),
		Sets: c.counters.sets.Load(), Deletes: c.counters.deletes.Load(), Fills: c.counters.fills.Load(),
		LeasesWon: c.counters.leasesWon.Load(), LeasesLost: c.counters.leasesLost.Load(),
		Failovers: c.counters.failovers.Load(), Errors: c.counters.errors.Load(), Owed: c.counters.owed.Load(),
	}
}
