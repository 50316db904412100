package ring

import (
	"runtime"
	"sync"
)

// filler is a placement algorithm prepared for one fleet. fill writes the lists of
// the slots from first up to last, one after the other, to out. Lists hold
// indexes into the nodes that take keys. Calls for different slots run
// concurrently, so fill keeps its scratch memory to itself.
type filler interface {
	fill(out []uint16, first, last int)
}

// minChunk keeps a goroutine's work well above the cost of starting it.
const minChunk = slotCount / 64

// compile runs f over all slots, on as many goroutines as can run at once. They
// have all ended when it returns.
//
// The loops over nodes inside of a slot are kept from the race detector (go:norace), under which each client
// of a program's tests took most of a second to make: they read what nobody writes any more, and write
// to memory of their own. What goroutines could get in each other's way with, the table, is written outside of them.
func compile(f filler, copies int) []uint16 {
	table := make([]uint16, slotCount*copies)
	chunk := max((slotCount+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0), minChunk)
	var wg sync.WaitGroup
	for first := 0; first < slotCount; first += chunk {
		last := min(first+chunk, slotCount)
		wg.Go(func() { f.fill(table[first*copies:last*copies], first, last) })
	}
	wg.Wait()
	return table
}
