// Package hotkey answers two questions for a cache client: which keys are hot, and where is a copy of them close enough
// to be free.
//
// A [Detector] watches every access. Behind an adaptive sampler stands a count-min sketch with conservative update (the
// gate) and, in front of it, a small set-associative heavy table that counts its residents exactly; a sequential test
// promotes a key within some tens of milliseconds of its becoming hot, decayed shares with hysteresis demote it.
//
// A [Near] is the near-cache: a byte-bounded table of the hottest values, read without a lock and without a write to
// shared memory once an entry is warm. It never serves a read that starts later than the send time of the request that
// validated the entry plus the staleness bound X, and never a value that an own write has overtaken.
//
// Nothing here starts a goroutine: ageing happens inside Observe, by counting accesses.
package hotkey
