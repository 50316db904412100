package pipe

import "syscall"

// yieldProcessor lets another thread have the processor, of whatever process, if one waits
// for it: sched_yield(2).
func yieldProcessor() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
