//go:build unix

package nodeserver

import (
	"syscall"
	"time"
)

// cpuTimes is the processor time the process has used.
func cpuTimes() (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
