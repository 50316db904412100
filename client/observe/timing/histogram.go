package timing

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets: four to each power of two of a microsecond, up to 2^24 µs, which is 17 s. A bucket is at most a
// quarter wider than it is low.
const (
	perDouble = 4
	doubles   = 24
	buckets   = perDouble * doubles
)

// histogram is added to without a lock: a reader may miss what is added meanwhile.
type histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < perDouble {
		return int(us) // 0, 1, 2, 3 µs
	}
	double := bits.Len64(us) - 1 // at least 2
	within := int(us>>(double-2)) & (perDouble - 1)
	return min((double-1)*perDouble+within, buckets-1)
}

// upper is the end of bucket i, not in it.
func upper(i int) time.Duration {
	if i < perDouble {
		return time.Duration(i+1) * time.Microsecond
	}
	double, within := i/perDouble+1, i%perDouble
	return time.Duration(uint64(perDouble+within+1)<<(double-2)) * time.Microsecond
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// Bucket is how many calls took less than Upper, and not less than the bucket before's.
type Bucket struct {
	Upper time.Duration
	Count uint64
}

// Latency is a reading of the calls of one operation.
type Latency struct {
	// Buckets are in rising order; the last holds whatever took longer, too.
	Buckets []Bucket
	// Count is the sum of the buckets, Sum the time all the calls took together.
	Count uint64
	Sum   time.Duration
}

func (h *histogram) read(every uint64) Latency {
	l := Latency{Buckets: make([]Bucket, buckets)}
	for i := range l.Buckets {
		l.Buckets[i] = Bucket{upper(i), h.counts[i].Load() * every}
		l.Count += l.Buckets[i].Count
	}
	l.Sum = time.Duration(h.sum.Load()) * time.Duration(every)
	return l
}

// Since is l without what was there at before, an earlier reading of the same operation.
func (l Latency) Since(before Latency) Latency {
	out := Latency{Buckets: make([]Bucket, len(l.Buckets)), Count: l.Count - before.Count, Sum: l.Sum - before.Sum}
	for i, b := range l.Buckets {
		out.Buckets[i] = b
		if i < len(before.Buckets) {
			out.Buckets[i].Count -= before.Buckets[i].Count
		}
	}
	return out
}

// Quantile is a time that a share q, 0 to 1, of the calls took no longer than: the upper end of its bucket. 0 if
// there were none.
func (l Latency) Quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(l.Count)), uint64(0)
	for _, b := range l.Buckets {
		seen += b.Count
		if b.Count > 0 && (seen > rank || seen == l.Count) {
			return b.Upper
		}
	}
	return 0
}
