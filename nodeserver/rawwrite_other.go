//go:build !unix

package nodeserver

import "syscall"

// rawTry has no way to write without waiting here: all replies go through the queue.
func rawTry(syscall.RawConn) func([]byte) (int, error) { return nil }
