//go:build unix && !linux

package pgserver

import "syscall"

// dieWithParent does nothing: only Linux knows how.
func dieWithParent(*syscall.SysProcAttr) {}
