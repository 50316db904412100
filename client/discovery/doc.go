// Package discovery gives a client its list of nodes and keeps it current.
//
// A [Source] says which nodes there are: [Static], a watched [File], [DNS] (A, AAAA, SRV),
// [Cluster] (the "config get cluster" of ElastiCache and Memorystore), or one of your own.
// [First] asks it for what a client starts with, [Follow] asks it again and again and calls
// the client's SetNodes; [NewClient] does both.
//
// # When a node leaves
//
// New nodes join at once. Nothing an answer fails to say tears the fleet down:
//
//   - A failed, empty or outdated answer changes nothing. The last good list stays, a hook
//     says why, and the source is asked again.
//   - A node that is missing from a good answer stays as long as it works. It leaves when
//     three answers in a row (Config.RemoveAfter) lacked it while the client's connections
//     said that it is down.
//   - The operator's word is obeyed at once. That is an answer of [Static] and [File], of any
//     source under RemovalsTrusted, and [Follower.Release]. Under RemovalsConfirmed nobody
//     but Release is believed.
//   - An address that goes by another name now is the other node from then on: one server
//     under two names would hold both copies of a key.
//
// # Names
//
// A node's name, not its address, decides which keys it has (ring.Node). All processes of a
// fleet must get the same names, so use one kind of source everywhere, and make the client
// from the source that it will follow. With names that stay, a node that comes back with
// another address keeps its keys; the client dials it by name, at least once a second
// while it is down, and so finds the new address as soon as the resolver has it.
//
// One name should have one address: of several, a dial within the client's DialTimeout tries
// only the first if that does not answer at all. For a name that stands for many nodes use
// [Addresses].
package discovery
