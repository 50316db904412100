//go:build !unix && !windows

package nodeserver

import "time"

// cpuTimes is unknown here.
func cpuTimes() (user, system time.Duration) { return 0, 0 }
