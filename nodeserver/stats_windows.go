package nodeserver

import (
	"syscall"
	"time"
)

// cpuTimes is the processor time the process has used.
func cpuTimes() (user, system time.Duration) {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, 0
	}
	var created, ended, k, u syscall.Filetime
	if err := syscall.GetProcessTimes(self, &created, &ended, &k, &u); err != nil {
		return 0, 0
	}
	// Lengths in steps of 100 ns, unlike the points in time that Filetime else stands for.
	span := func(f syscall.Filetime) time.Duration {
		return time.Duration(uint64(f.HighDateTime)<<32|uint64(f.LowDateTime)) * 100
	}
	return span(u), span(k)
}
