package nodeserver

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
)

// seat is a connection's place in a loop.
type seat struct {
	loop *loop
	c    *conn
	fd   int
	hup  bool      // the peer will say no more: read to the end
	last time.Time // of the latest read, when there is an IdleTimeout
	gone bool      // guarded by c.wire: fd is no longer the seat's
}

// adopt has c served in a loop instead of by nc, which is closed; false means that it
// cannot be. It is called before anybody serves c.
func (ls *loops) adopt(c *conn, nc net.Conn) bool {
	if ls.n <= 0 {
		return false
	}
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	l := ls.least()
	if l == nil {
		return false
	}
	fd, err := duplicate(nc.(syscall.Conn))
	if err != nil {
		return false
	}
	s := &seat{loop: l, c: c, fd: fd}
	c.wire.Lock()
	defer c.wire.Unlock()
	if c.aborted.Load() {
		syscall.Close(fd)
		return false
	}
	c.host, c.nc = s, nil
	c.out.initIn(s.tryWrite, c.leave)
	if !l.enter(s) { // from here on c is the loop's
		c.host = nil
		c.own(nc)
		syscall.Close(fd)
		return false
	}
	nc.Close()
	return true
}

// duplicate is a second descriptor of nc's socket, which Go's poller knows nothing of.
func duplicate(nc syscall.Conn) (fd int, err error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return -1, err
	}
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		n, _, e := syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd, errno = int(n), e
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return fd, err
}

// serve reads and answers what one connection has sent, in as many reads at most. False:
// the connection has left, with this goroutine, and has ended; somebody else runs the
// loop.
func (l *loop) serve(s *seat, reads int) bool {
	c := s.c
	if c.host != s { // ended, in this turn
		return true
	}
	for range reads {
		if c.aborted.Load() {
			return l.end(s)
		}
		if c.rbuf == nil {
			if l.in == nil {
				l.in = make([]byte, keepBuf)
			}
			c.rbuf, c.r, c.w = l.in, 0, 0
		}
		if c.out.buf == nil {
			c.out.buf = l.out
		}
		if !c.room() { // what could not be kept is passed over from now on
			if c.quit {
				return l.end(s)
			}
			continue
		}
		space, n := 0, 0
		if !c.more {
			space = len(c.rbuf) - c.w
			var errno syscall.Errno
			n, errno = sysRead(s.fd, c.rbuf[c.w:])
			switch {
			case errno == syscall.EINTR:
				continue
			case errno == syscall.EAGAIN:
				l.takeBack(c)
				return true
			case errno != 0 || n <= 0:
				return l.end(s)
			}
		}
		if l.srv.cfg.IdleTimeout > 0 {
			s.last = time.Now()
		}
		ok := c.received(n)
		if c.host == nil { // it has left: from here on this is its goroutine
			if ok {
				c.serve()
			} else {
				c.finish()
			}
			return false
		}
		if !ok {
			return l.end(s)
		}
		l.takeBack(c)
		if c.more {
			l.again = append(l.again, s)
			return true
		}
		if n < space && !s.hup {
			return true // that was all: the kernel tells when there is more
		}
	}
	l.srv.stats.yields.Add(1)
	l.again = append(l.again, s)
	return true
}

// takeBack ends the loan of the loop's buffers. What c has left of half a command moves
// to a buffer of its own.
func (l *loop) takeBack(c *conn) {
	if b := c.out.buf; b != nil {
		l.out, c.out.buf = b[:0], nil
	}
	c.partial()
	if c.r == c.w {
		c.rbuf, c.r, c.w = nil, 0, 0
		c.release()
		return
	}
	if l.in == nil || &c.rbuf[0] != &l.in[0] { // nil: who left has taken it, and nobody has borrowed since
		return
	}
	size := readBuf
	for size < c.w-c.r {
		size *= 2
	}
	mine := make([]byte, size)
	c.w = copy(mine, c.rbuf[c.r:c.w])
	c.rbuf, c.r = mine, 0
}

// end sends what is left and closes a connection. False: as serve.
func (l *loop) end(s *seat) bool {
	c := s.c
	if c.host != s {
		return true
	}
	c.state.Store(uint32(stateClosing))
	c.out.finish()
	if c.host == nil { // its peer takes its time: it has left for that
		c.finish()
		return false
	}
	if b := c.out.buf; b != nil {
		l.out, c.out.buf = b[:0], nil
	}
	l.remove(s)
	c.wire.Lock()
	c.host = nil
	if !s.gone {
		s.gone = true
		syscall.Close(s.fd)
	}
	c.wire.Unlock()
	c.rbuf = nil
	c.release()
	l.srv.forget(c)
	return true
}

// abort wakes the loop, which finds the connection aborted.
func (s *seat) abort() {
	if !s.gone {
		syscall.Shutdown(s.fd, syscall.SHUT_RDWR)
	}
}

// tryWrite writes what the socket takes.
func (s *seat) tryWrite(p []byte) (int, error) {
	for {
		switch n, errno := sysWrite(s.fd, p); errno {
		case 0:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// letGo hands the loop on to a new goroutine, with the rest of its turn, and the socket
// to Go's poller, which this goroutine may wait for.
func (s *seat) letGo() bool {
	l, c := s.loop, s.c
	l.remove(s)
	c.wire.Lock()
	defer c.wire.Unlock()
	if s.gone {
		return false
	}
	s.gone = true
	f := os.NewFile(uintptr(s.fd), "connection")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil { // no descriptor left, most likely
		return false
	}
	c.own(nc)
	c.host = nil
	if c.aborted.Load() {
		nc.Close()
	}
	// The buffers that were lent are c's now.
	l.in, l.out = nil, nil
	if l.park == nil {
		runtime.UnlockOSThread() // a connection needs no thread of its own: the loop's new goroutine does
	}
	l.srv.wg.Add(1)
	go l.run()
	return true
}
