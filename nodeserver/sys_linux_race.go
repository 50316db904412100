//go:build linux && race

package nodeserver

import "syscall"

// sysRead and sysWrite as the race detector can follow them: through package syscall,
// which tells it that what is written to one socket comes before what is read from
// another.

func sysRead(fd int, buf []byte) (int, syscall.Errno) {
	n, err := syscall.Read(fd, buf)
	return n, number(err)
}

func sysWrite(fd int, buf []byte) (int, syscall.Errno) {
	n, err := syscall.Write(fd, buf)
	return n, number(err)
}

func number(err error) syscall.Errno {
	e, _ := err.(syscall.Errno) // which is what package syscall returns
	return e
}

func sysPoll(epfd int, events []syscall.EpollEvent) int {
	n, _ := syscall.EpollWait(epfd, events, 0)
	return max(n, 0)
}
