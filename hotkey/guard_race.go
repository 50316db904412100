//go:build race

package hotkey

import "github.com/cespare/xxhash/v2"

// Values are shared and read-only, which nothing but a look at them can prove. Under the race detector, where time does not
// matter, that look is taken: when an entry is validated again and when it goes. So the tests of a program that changes
// what Get gave it fail, if they are run with -race, even where no two goroutines ever meet.

type seal struct{ sum uint64 }

// put notes what the entry's bytes are.
func (s *seal) put(b []byte) { s.sum = xxhash.Sum64(b) }

// check panics if somebody has changed them since.
func (s *seal) check(b []byte) {
	if xxhash.Sum64(b) != s.sum {
		panic("hotkey: somebody has changed the bytes of a value from the near-cache; they are shared by all readers and read-only: copy them first")
	}
}
