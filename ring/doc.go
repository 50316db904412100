// Package ring decides which nodes own a key.
//
// A [Ring] is an immutable snapshot: New validates a [Config], compiles the
// whole placement into a table and starts nothing that outlives the call.
// Looking up a key's complete node list, owner first, is one xxhash64 and one
// table access whatever the number of nodes, and allocates nothing.
//
// # Placement
//
// The space of 64-bit key hashes is cut into 2^20 equal slots, and every slot
// has a list of nodes. [Rendezvous] (the default) orders the nodes of a slot by
// a score that each node draws for itself, so adding a node moves exactly the
// keys the new node takes, and removing one moves exactly the keys it had, in
// even shares to all others. [Classic] is the ring of virtual nodes, compiled
// into the same table.
//
// Everything that decides an order is integer arithmetic: processes on
// different CPU architectures agree to the last slot. Placements are frozen by
// golden checksums and don't change between releases.
//
// # Identity
//
// A node's place depends on its [Node].Name, never on what the name resolves to
// and never on the order in which nodes are listed. A node that fails keeps its
// place; its keys are served by the next node of their lists until the
// membership itself changes.
//
// # Zones
//
// Where nodes have zones, a key's list takes the nodes in placement order but
// skips nodes of a zone it already has, until it has every zone; the places left
// then go to the skipped nodes in order. Either all nodes have a zone or none.
package ring
