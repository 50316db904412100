//go:build linux && !race

package pipe

import (
	"syscall"
	"unsafe"
)

// sysRead and sysWrite are read(2) and write(2) on a socket that doesn't block, without
// telling the scheduler that a system call is under way. Those that are told cost more
// than their entry and exit: the runtime's monitor wakes every 20 µs to see whether one
// lasts longer, takes the processor from one that does, and has another thread started
// for it. Writing to a socket on the same machine lasts that long, because the kernel
// delivers the bytes within the call. The price is that a garbage collection that wants
// to stop the world waits for the call: some microseconds, or those it takes to copy a
// large value.

func sysRead(fd int, buf []byte) (int, syscall.Errno) {
	if len(buf) == 0 {
		return 0, 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	return int(n), errno
}

func sysWrite(fd int, buf []byte) (int, syscall.Errno) {
	if len(buf) == 0 {
		return 0, 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	return int(n), errno
}
