//go:build !unix

package main

import (
	"runtime"
	"time"
)

// cpuTime is the CPU time this process has used: 0, the system does not say.
func cpuTime() time.Duration { return 0 }

func cpus() int { return runtime.GOMAXPROCS(0) }
