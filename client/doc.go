// Package client is the fat client: it owns the placement of keys on a fleet of
// memcached nodes, talks to every node over pipelined connections, writes to all
// copies of a key, reads from the home copy and fails over, keeps what an
// unreachable node still has to hear, hands out leases for filling missing keys,
// and serves the hottest keys from memory within a staleness bound.
//
// A Client is made by New, which does no I/O, is safe for concurrent use, and must
// be closed. Every operation takes a context first; the sooner of its deadline and
// Config.Timeout ends a try.
//
// # Errors
//
// A miss is ErrCacheMiss, a failed condition ErrNotStored or ErrCASConflict: the
// cache answered. A failure is an *Error, which names the operation and the node and
// says how far the request got: not sent, answered with a refusal, or unknown;
// SafeToRetry asks it. What must not run twice (counters, Append, Add …) is never sent
// twice; one of them whose outcome is unknown may still be carried out, behind what is
// done to the key afterwards. Several nodes' failures are joined. Keys never stand in an error's text.
//
// # Keys, values, TTLs
//
// Keys are what a node takes, 1 to 250 bytes without spaces and control characters, or
// any string at all: Config.Keys. A value over Config.MaxValueBytes is refused before a
// byte leaves. A TTL is a time.Duration wherever one is asked for, or, through
// Until, a point in time; memcached's traps (over 30 days, 1 second) are taken care of.
//
// # Copies
//
// With ReplicationFactor R the first R nodes of a key's list hold a copy each; the
// first is the owner. How copies are kept right on servers that know nothing of each
// other is told in DESIGN.md.
package client
