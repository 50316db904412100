//go:build unix

package pipe

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket is a plain socket beneath a connection, read and written through sysRead and
// sysWrite rather than through its net.Conn. Deadlines and Close of the net.Conn work on
// it as usual: it waits in the same network poller.
type socket struct {
	raw syscall.RawConn
	// Arguments and results of the functions given to raw, kept here so that nothing is
	// allocated. in belongs to the reader, out to the flusher.
	in  transfer
	out transfer
}

// transfer is one read or write under way.
type transfer struct {
	buf  []byte
	n    int
	err  error
	wait bool // come back only with a byte, or an error
	try  func(fd uintptr) bool
}

// newSocket returns nil if nc is no plain socket. What embeds one may have a Read of
// its own, which the socket beneath must not be read past.
func newSocket(nc net.Conn) *socket {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.in.try = func(fd uintptr) bool {
		t := &s.in
		for {
			n, errno := sysRead(int(fd), t.buf)
			switch {
			case errno == syscall.EINTR:
			case errno == syscall.EAGAIN:
				return !t.wait
			case errno != 0:
				t.err = os.NewSyscallError("read", errno)
				return true
			case n == 0:
				t.err = io.EOF
				return true
			default:
				t.n = n
				return true
			}
		}
	}
	s.out.try = func(fd uintptr) bool {
		t := &s.out
		for t.n < len(t.buf) {
			n, errno := sysWrite(int(fd), t.buf[t.n:])
			switch {
			case errno == syscall.EINTR:
			case errno == syscall.EAGAIN:
				return false
			case errno != 0:
				t.err = os.NewSyscallError("write", errno)
				return true
			default:
				t.n += n
			}
		}
		return true
	}
	return s
}

// poll returns what is there now, 0 if there is nothing or anything is wrong: the read
// that follows tells.
func (s *socket) poll(buf []byte) int {
	n, _ := s.in.run(s.raw.Read, buf, false)
	return n
}

// Read is net.Conn's.
func (s *socket) Read(buf []byte) (int, error) {
	return s.in.run(s.raw.Read, buf, true)
}

// Write is net.Conn's.
func (s *socket) Write(buf []byte) (int, error) {
	return s.out.run(s.raw.Write, buf, true)
}

func (t *transfer) run(how func(func(uintptr) bool) error, buf []byte, wait bool) (int, error) {
	t.buf, t.n, t.err, t.wait = buf, 0, nil, wait
	err := how(t.try)
	t.buf = nil
	if err == nil {
		err = t.err
	}
	return t.n, err
}
