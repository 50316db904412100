// Package ring decides which nodes own a key.
//
// A [Ring] is an immutable snapshot: New validates a [Config], compiles the
// whole placement into a table and starts nothing that outlives the call.
// Looking up a key's complete node list, owner first, is one xxhash64 and one
// table access whatever the number of nodes, and allocates nothing. (On a ketama
// ring it is one MD5 and a short search.)
//
// # Placement
//
// The space of 64-bit key hashes is cut into 2^20 equal slots, and every slot
// has a list of nodes. [Rendezvous] (the default) orders the nodes of a slot by
// a score that each node draws for itself, so adding a node moves exactly the
// keys the new node takes, and removing one moves exactly the keys it had, in
// even shares to all others. [Classic] is the ring of virtual nodes, compiled
// into the same table. [Ketama] and [KetamaHostPort] are for fleets that other clients use
// as well; they keep every point where those have it, on an exact ring of 32 bits.
//
// Everything that decides an order is integer arithmetic: processes on
// different CPU architectures agree to the last slot. (Ketama's number of points is
// the one exception: the C libraries compute it in single precision, and so does this
// package, step by step.) Placements are frozen by golden checksums and don't change
// between releases.
//
// # Who agrees with whom
//
// Rendezvous and Classic agree with no other software. The ketama placements own
// a key exactly where these do, given the same nodes:
//
//	libmemcached, weighted ketama with MD5           Ketama
//	  (PHP's LIBKETAMA_COMPATIBLE)
//	twemproxy, distribution: ketama, hash: md5       Ketama; a server's name as Node.Name
//	spymemcached, LIBMEMCACHED format                Ketama, VirtualNodes: 160
//	memcached's proxy, omode=twemproxy               Ketama, VirtualNodes: 160, no weights
//	original libketama                               KetamaHostPort
//	Couchbase (RFC 26)                               KetamaHostPort, VirtualNodes: 160
//	memcached's proxy, omode=ketama                  KetamaHostPort, VirtualNodes: 160, no weights
//	spymemcached's default, EVCache                  Ketama, VirtualNodes: 160, and
//	                                                 Node.Name "host/ip:port" as they have it
//
// These agree with nobody but themselves: libmemcached's unweighted ketama (100 points, not
// of MD5), dalli, memcached's proxy by default, gomemcache (crc32 modulo n), pymemcache,
// groupcache, mcrouter, jump hash.
//
// What the table can't show:
//
//   - The two columns of points, with and without VirtualNodes, differ: libmemcached and
//     twemproxy have 156 points a node, not 160, at 25, 47, 50, 55, 61, 71, 94, 100 and more equal
//     nodes, libketama at 61 and 122.
//   - twemproxy's key hash has to be set to md5, its auto_eject_hosts and libmemcached's
//     to off: a client that ejects a node moves other keys, too. Here a node that is down keeps
//     its points.
//   - Names derived from addresses are in lower case. Where the others have a host name in
//     another case, give it as Node.Name. A name of twemproxy's that ends in ":11211" needs
//     KetamaHostPort.
//   - A node whose weight is so small that it has no point takes no keys. A drained node has
//     none either, and the others' counts are made without it.
//   - Further copies go to the next distinct nodes clockwise, by zone where there are
//     zones. The other clients keep one copy or go by other rules; with them only the
//     owner agrees.
//   - Of two points at one place the one of the earlier name counts; the others' sort leaves it to
//     chance. At 100 nodes one fleet in 30 has such a pair, and it decides one key in 16,000.
//
// # Key tags
//
// With Config.KeyTag "{}", keys that have the same text between the first { and the next }
// have one node list, on every placement: a batch of them is one request to one
// node. Tags bundle load as well; a tag that many keys share makes a hot node.
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
