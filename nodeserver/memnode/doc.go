// Memnode runs one memherd node as a process of its own, with memcached's option
// letters:
//
//	memnode -p 11211 -m 64 -c 1024
//
// It listens on 127.0.0.1 unless told otherwise, and refuses an address that others
// can reach, since nothing protects a cache there, unless --insecure-public says that
// something does. SIGTERM and SIGINT end it after it has answered what it has read.
package main
