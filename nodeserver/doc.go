// Package nodeserver is memherd's cache node: a memcached that runs inside a Go
// program. It speaks memcached's text protocol, classic and meta, as memcached's head
// speaks it, errors included, on TCP, Unix sockets or an in-memory network, and is
// bounded by bytes like the original. The binary protocol, UDP, SASL and extstore are
// left out.
//
//	srv, err := nodeserver.Start(nodeserver.Config{})
//	defer srv.Close()
//	addr := srv.Addr().String() // 127.0.0.1 and a free port
//
// Tests get an in-memory network (MemNetwork) that works inside testing/synctest and
// can lose a node, and a hook that sees each command before it is executed
// (Config.Intercept), and older protocols (Config.Profile).
//
// Where a node differs from memcached: a refused over-long get key is answered with
// one line end, not two, and takes no other reply of its batch with it; command words
// are never accepted abbreviated; a meta flag that takes a number must have one; an
// over-long opaque is refused before anything is done; ma's T holds even when the
// number grows longer; delete with more than four words is an error; the data block of a
// log-in is 2,048 bytes at most.
package nodeserver
