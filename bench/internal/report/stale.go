package report

import (
	"fmt"
	"sync/atomic"
	"time"
)

// staleBounds are the upper ends of the buckets in which ages of stale values are counted; the last one has no end. The
// default bound of a near-cache, 50 ms, ends one.
var staleBounds = [...]time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	30 * time.Millisecond, 40 * time.Millisecond, 50 * time.Millisecond}

// StaleBucket counts reads that returned what had been followed by a newer version.
type StaleBucket struct {
	// FromMS and ToMS are how long before the read began the newer version was acknowledged, in milliseconds; ToMS of the
	// last bucket is 0: it has no end.
	FromMS float64 `json:"from_ms"`
	ToMS   float64 `json:"to_ms"`
	Reads  int64   `json:"reads"`
}

func (b StaleBucket) name() string {
	if b.ToMS == 0 {
		return fmt.Sprintf("≥%g ms", b.FromMS)
	}
	return fmt.Sprintf("<%g ms", b.ToMS)
}

// StaleCount counts stale reads by age. Many goroutines may use it.
type StaleCount [len(staleBounds) + 1]atomic.Int64

// Add counts a read of a value that had been out of date for age.
func (c *StaleCount) Add(age time.Duration) {
	i := 0
	for i < len(staleBounds) && age >= staleBounds[i] {
		i++
	}
	c[i].Add(1)
}

// Read returns the counts so far.
func (c *StaleCount) Read() []int64 {
	out := make([]int64, len(c))
	for i := range c {
		out[i] = c[i].Load()
	}
	return out
}

// StaleBuckets is what came between two readings of a StaleCount; no first one is one of zeros.
func StaleBuckets(before, after []int64) (out []StaleBucket) {
	from := 0.0
	for i := range after {
		b := StaleBucket{FromMS: from, Reads: after[i]}
		if i < len(before) {
			b.Reads -= before[i]
		}
		if i < len(staleBounds) {
			from = staleBounds[i].Seconds() * 1e3
			b.ToMS = from
		}
		out = append(out, b)
	}
	return out
}
