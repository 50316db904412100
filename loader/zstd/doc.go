// Package zstd compresses what a loader stores, above a size, with Zstandard. It is a
// package of its own so that a loader without compression does not pull in the library.
package zstd
