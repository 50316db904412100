// Package stock runs the real memcached, as a process of its own, for tests and
// benchmarks: to check a node against it, and to have what design decisions are
// measured against. Servers listen on 127.0.0.1 only.
package stock
