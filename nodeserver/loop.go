package nodeserver

import "net"

// Who serves a connection. Anywhere, and for any net.Conn, it can be a goroutine of its
// own: conn.serve. Where the system has epoll, plain TCP and Unix sockets are served in
// loops instead (loop_linux.go), a few goroutines that each look after many connections
// and never wait for one of them. A connection that would have to be waited for, because
// its peer does not take its replies or because it watches, leaves its loop for good. With
// Config.Intercept there are no loops.

// host serves a connection in place of a goroutine of its own.
type host interface {
	// letGo gives the connection the calling goroutine, which has to be the one that serves
	// it, and hands everything else that this goroutine looked after on to another. False:
	// that cannot be, and the connection has to be closed.
	letGo() bool
	// abort has the connection ended; any goroutine may call it, with conn.wire held.
	abort()
}

// leave makes the calling goroutine, which serves the connection, one that may wait.
// False: there is no way to, and the connection is about to be closed.
func (c *conn) leave() bool {
	if c.host == nil || c.host.letGo() {
		return true
	}
	c.quit = true
	return false
}

// own makes nc what the connection is read from and written to; c.wire is held or nobody
// else knows c yet.
func (c *conn) own(nc net.Conn) {
	c.nc = nc
	c.out.init(nc, c.srv.cfg.WriteTimeout, &c.written)
}

// drain is Shutdown's wish: answer what was read, then close. The read that waits is
// ended by a deadline in the past; a loop is woken by who stops the server.
func (c *conn) drain() {
	c.draining.Store(true)
	c.wire.Lock()
	defer c.wire.Unlock()
	if c.nc != nil {
		c.nc.SetReadDeadline(aLongTimeAgo)
	}
}

// abort ends the connection from another goroutine.
func (c *conn) abort() {
	c.wire.Lock()
	defer c.wire.Unlock()
	c.aborted.Store(true)
	switch {
	case c.nc != nil:
		c.nc.Close()
	case c.host != nil:
		c.host.abort()
	}
}
