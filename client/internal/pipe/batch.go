package pipe

import "context"

// StartBatch is StartAll for calls that one caller waits for together, with WaitBatch.
// They count as one call in flight, and are not refused as too many.
func (c *Conn) StartBatch(ctx context.Context, ks []*Call) error {
	for i, k := range ks {
		k.quiet = i < len(ks)-1
		k.Share = false // those that are held aside would be answered last
	}
	return c.StartAll(ctx, ks)
}

// WaitBatch waits for the calls of one StartBatch. It returns true when all are complete.
// When ctx ends first it returns false: ks still holds those that were complete by then,
// and nil for the others, which are abandoned and whose Settlers will learn the outcome.
//
// Replies come in the order of the requests, so the caller waits for the last call alone,
// and is woken once: when that one is complete, so are the others.
func (c *Conn) WaitBatch(ctx context.Context, ks []*Call) bool {
	if len(ks) == 0 {
		return true
	}
	last := len(ks) - 1
	if c.Wait(ctx, ks[last]) {
		return true
	}
	ks[last] = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range ks[:last] {
		// The reader may be completing it right now: whoever moves the state has it.
		if k.state.CompareAndSwap(statePending, stateAbandoned) {
			c.abandoned++
			ks[i] = nil
		}
	}
	c.needDrainer()
	return false
}
