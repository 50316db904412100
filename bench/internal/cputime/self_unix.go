//go:build unix

package cputime

import (
	"syscall"
	"time"
)

// Self is the CPU time this process has used, user and system together; 0 if the
// system does not say.
func Self() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
