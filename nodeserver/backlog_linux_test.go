package nodeserver

import (
	"net"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// backlogOf is how many connections may wait for a TCP listener: the kernel has it in a
// field that means something else for connections.
func backlogOf(t *testing.T, ln net.Listener) (n int) {
	raw, err := ln.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	var info syscall.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	require.NoError(t, raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		require.Zero(t, errno)
	}))
	return int(info.Sacked)
}

func TestBacklog(t *testing.T) {
	for want, cfg := range map[int]Config{7: {Backlog: 7}, 70: {Backlog: 70}} {
		s := startNode(t, cfg)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		nc, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		assert.Empty(t, ask(t, nc, ""))
		nc.Close()
		assert.Equal(t, want, backlogOf(t, ln))
		s.mu.Lock()
		for own := range s.listeners {
			assert.Equal(t, want, backlogOf(t, *own))
		}
		s.mu.Unlock()
		s.Close()
		require.ErrorIs(t, <-served, ErrServerClosed)
	}
}
