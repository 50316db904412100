//go:build unix && (!linux || race)

package pipe

import "syscall"

// The ordinary calls: elsewhere there is no other way that lasts, and the race detector
// learns from them that what was written before a write happened before what follows the
// read.

func sysRead(fd int, buf []byte) (int, syscall.Errno) { return done(syscall.Read(fd, buf)) }

func sysWrite(fd int, buf []byte) (int, syscall.Errno) { return done(syscall.Write(fd, buf)) }

func done(n int, err error) (int, syscall.Errno) {
	if err == nil {
		return n, 0
	}
	errno, ok := err.(syscall.Errno)
	if !ok {
		errno = syscall.EIO
	}
	return 0, errno
}
