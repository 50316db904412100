//go:build unix

package nodeserver

import (
	"net"
	"syscall"
)

// setBacklog has as many connections wait for ln as Config.Backlog says. Go listens with as
// many as the system allows; who listens again says anew how many.
func (s *Server) setBacklog(ln net.Listener) {
	if s.cfg.Backlog == 0 {
		return
	}
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.Listen(int(fd), s.cfg.Backlog) })
	}
}
