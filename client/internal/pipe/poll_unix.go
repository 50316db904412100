//go:build unix

package pipe

import (
	"net"
	"syscall"
)

// poller reads a socket without waiting for it.
type poller struct {
	raw syscall.RawConn
	// What follows is the argument and the result of try, kept here so that a read
	// allocates nothing. They belong to the reader.
	buf []byte
	n   int
	try func(fd uintptr) bool
}

// newPoller returns nil if nc is no plain socket. What embeds one may have a Read of
// its own, which the socket beneath must not be read past.
func newPoller(nc net.Conn) *poller {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	p := &poller{raw: raw}
	p.try = func(fd uintptr) bool {
		p.n, _ = syscall.Read(int(fd), p.buf)
		return true // done, whatever came: never wait
	}
	return p
}

// read returns what is there now, 0 if there is nothing or anything is wrong: the
// blocking read that follows tells.
func (p *poller) read(buf []byte) int {
	p.buf, p.n = buf, 0
	err := p.raw.Read(p.try)
	p.buf = nil
	if err != nil || p.n < 0 {
		return 0
	}
	return p.n
}
