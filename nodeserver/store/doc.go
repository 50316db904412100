// Package store keeps a node's items in a bounded number of bytes: sharded, expired by
// TTL, evicted by a Policy.
//
// A shard is a log: records are appended to segments that hold no pointers, an index of
// cache lines finds them, and room is made a segment at a time, by moving together what
// stays. So neither the garbage collector nor an allocator ever deals with items, and
// memory does not fragment. Large records have a segment of their own.
//
// It knows nothing of the protocol. The node takes a Tx for a key, which locks the
// key's shard, and works on the one item through it; what it wants to keep it copies
// out before End. No method hands out memory that belongs to the store beyond that,
// since records move about between transactions.
//
// Time is counted in seconds of the node's own clock and handed in by the caller:
// the store never looks at a clock and starts no goroutine. Each access gives back some
// of the memory of what has expired since.
package store
