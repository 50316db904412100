// Package loader puts a cache in front of an origin, a database or a service, so
// that a missing value is loaded once: once in the process, because callers of one
// key share a flight, and once in the fleet, because the right to load is a lease
// the cache gives to one process at a time.
//
// The cache is seen through the small Cache interface, which the memherd client
// implements. Everything that keeps copies right (one token per copy, deletes that
// reach the owner last, debt of unreachable nodes) happens behind it; the loader
// adds what only it can know:
//
//   - a load runs on a context of its own, so that its first caller may leave;
//   - a caller that waits leaves when its own context ends, and the load goes on;
//   - a panic or runtime.Goexit in user code becomes an error for all who wait;
//   - who has no lease never loads, except when the cache itself is down;
//   - a write voids the loads that run, and later reads do not join them.
//
// # What a Get promises
//
// A Get that starts at time s returns nothing older than the newest version that a
// Put or Delete, in this process or another, had finished with at s, while all
// copies of the key are reachable and no near-cache is on (with one: at s minus its
// bound). Sharing a load would break this: a load that began before s may have read
// an older version. A caller that joined after the load began therefore takes the
// value only when the cache accepted it under the load's token, which proves that
// nobody wrote or deleted the key since; otherwise it is served by the next load.
// Loads done without the cache (see Config.FailClosed) have no such proof and are
// shared as they are: then the origin's safety comes first.
//
// With WriteBack a Get sees at once what its own process has put, and what others have put
// at the latest when that has reached the origin.
//
// A value that is served past its soft time, or because its load failed (Config.Freshness), keeps
// this promise: it is old, but nobody has told the cache of anything newer.
//
// A process that dies between its write to the origin and the cache leaves the old
// value cached until its TTL.
package loader
