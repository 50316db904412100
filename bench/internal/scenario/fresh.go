package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// fresh are keys that are read once each. They are misses whatever happens, so that
// there is a normal number of origin loads to compare with.
type fresh struct {
	share float64 // of the reads
	used  atomic.Int64
}

// next draws whether a read is of a fresh key; nil has none.
func (f *fresh) next(rng *rand.Rand) bool { return f != nil && rng.Float64() < f.share }

const freshPrefix = "fresh:"

// getFresh reads a key for the first time.
func (l *load) getFresh(c cache, t *tally) {
	key := fmt.Sprint(freshPrefix, l.fresh.used.Add(1))
	b, err := c.Get(context.Background(), key)
	if err != nil {
		t.errors++
		l.r.failed("get", err)
		return
	}
	l.check(key, b, 1, t)
}
