//go:build !linux

package pipe

// yieldProcessor does nothing where there is no sched_yield to call without cgo: who yields to the
// other goroutines only is slower by what a sleep and a wake-up cost, now and then.
func yieldProcessor() {}
