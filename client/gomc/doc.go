// Package gomc is for programs written against gomemcache
// (github.com/bradfitz/gomemcache). It offers three ways off it, from the smallest to the whole:
//
//   - [Selector] gives gomemcache's own client a better placement: that of package ring in place
//     of crc32 modulo n. Nothing else changes, neither code nor behaviour; in particular a node
//     that is down is not replaced by another.
//   - [Client] has the method set of gomemcache's *memcache.Client, its Item and its errors, over a
//     memherd client: a program changes one constructor and has pipelined connections, copies, failover,
//     and, by [Client.Memherd], everything else of package client.
//   - [Dual] reads the placement a fleet had while that of a memherd client warms up.
//
// The pages beside the source say how to move: MIGRATING.md for programs on gomemcache, from-mcrouter.md, and
// from-ketama.md for fleets that programs in other languages share. DIFFERENCES.md lists what is not as
// gomemcache has it.
package gomc
