// Package store keeps a node's items: a bounded number of bytes, sharded, evicted
// in LRU order, expired by TTL.
//
// It knows nothing of the protocol. The node takes a Tx for a key, which locks the
// key's shard, and works on the one item through it; what it wants to keep it copies
// out before End. No method hands out memory that belongs to the store beyond that,
// so that an implementation may move items about between transactions.
//
// Time is counted in seconds of the node's own clock and handed in by the caller:
// the store never looks at a clock and starts no goroutine.
package store
