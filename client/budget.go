package client

import "sync"

// retryBurst is how many retries may be saved up: as many as requests are under way to a node
// that dies.
const retryBurst = DefaultMaxInFlight

// A budget bounds requests that are made besides those that callers ask for: a share of these in
// the long run, and a burst. Without one a fleet that is slow because it is overloaded gets
// more requests for being slow, and stays so (Bronson et al., "Metastable Failures in
// Distributed Systems", HotOS 2021).
//
// It is asked only when something is to be spent. What has been earned until then it works
// out from a count that is kept anyway, so that a read pays nothing for it.
type budget struct {
	share float64 // earned a read
	burst float64 // saved up at most, and there at the beginning

	mu     sync.Mutex // guards what follows; a leaf
	reads  uint64     // counted so far
	spent  bool       // anything, ever
	credit float64
}

// spend takes one from the budget, if it is there. reads is how many there have been.
func (b *budget) spend(reads uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.spent {
		b.credit, b.reads, b.spent = b.burst, reads, true
	}
	if reads > b.reads { // they are counted one by one, and so may seem to go back
		b.credit = min(b.burst, b.credit+b.share*float64(reads-b.reads))
		b.reads = reads
	}
	if b.credit < 1 {
		return false
	}
	b.credit--
	return true
}

// reads is how many reads there have been.
func (c *Client) reads() uint64 { return c.counters.nodeHits.Load() + c.counters.misses.Load() }

// mayRetry reports whether a read that failed on one copy may be asked of another. A failure
// after which nothing can have been sent costs no node anything.
func (c *Client) mayRetry(safe bool) bool {
	if safe || c.cfg.RetryBudget >= 1 || c.retries.spend(c.reads()) {
		return true
	}
	c.counters.retriesRefused.Add(1)
	return false
}
