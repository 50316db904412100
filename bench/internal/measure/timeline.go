package measure

import (
	"io"
	"math/bits"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Every is the length of an interval of a Timeline at first.
const Every = 500 * time.Millisecond

// most is how many intervals a Timeline keeps: with more, two and two become one.
const most = 1024

// A power of two of latencies has this many bins, so that a bin is less than 0.8 % wide: two significant digits.
const perOctave = 128

// bins count latencies in nanoseconds. A worker hands over its own twice a second, and the library's histogram takes
// too long to be added up and emptied that often: the operation behind it would be late.
type bins [(37 - 7) * perOctave]uint32 // up to 2^36 ns, over a minute

func binOf(ns int64) int {
	v := uint64(max(ns, 0))
	shift := max(bits.Len64(v)-8, 0) // v>>shift is less than 256
	return min(shift*perOctave+int(v>>shift), len(bins{})-1)
}

// middle is a value in the middle of bin i.
func middle(i int) int64 {
	if i < 2*perOctave {
		return int64(i)
	}
	shift := i/perOctave - 1
	return int64(i-shift*perOctave)<<shift + 1<<shift/2
}

func (b *bins) add(o *bins) {
	for i, n := range o {
		b[i] += n
	}
}

// Timeline has the latencies of all workers of a run by the time at which operations ended. Its recorders call
// it; memory is bounded, whatever the length of the run.
type Timeline struct {
	mu   sync.Mutex // guards what follows
	fold int        // an interval is Every << fold long
	all  []*bins    // nil where nothing ended
}

func (t *Timeline) add(interval int, b *bins) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for interval>>t.fold >= most {
		t.halve()
	}
	i := interval >> t.fold
	for i >= len(t.all) {
		t.all = append(t.all, nil)
	}
	if t.all[i] == nil {
		t.all[i] = &bins{}
	}
	t.all[i].add(b)
}

// halve makes one interval of two.
func (t *Timeline) halve() {
	half := make([]*bins, (len(t.all)+1)/2)
	for i, b := range t.all {
		switch to := &half[i/2]; {
		case *to == nil:
			*to = b
		case b != nil:
			(*to).add(b)
		}
	}
	t.all, t.fold = half, t.fold+1
}

// Intervals are the intervals in which operations ended, in order.
func (t *Timeline) Intervals() (out []Interval) {
	t.mu.Lock()
	defer t.mu.Unlock()
	length := Every << t.fold
	for i, b := range t.all {
		if b != nil {
			out = append(out, Interval{From: time.Duration(i) * length, Length: length, bins: b})
		}
	}
	return out
}

// Interval is a part of a run.
type Interval struct {
	From, Length time.Duration // since the start
	Tag          string        // whose it is, where a log has several; without commas and spaces
	bins         *bins
}

// IntervalOf is an interval of that length with latencies that were measured one by one.
func IntervalOf(length time.Duration, took []time.Duration) Interval {
	v := Interval{Length: length, bins: &bins{}}
	for _, d := range took {
		v.bins[binOf(clamp(d))]++
	}
	return v
}

// hist is the interval as the library's histogram, with two significant digits.
func (v Interval) hist() *hdrhistogram.Histogram {
	h := hdrhistogram.New(1, int64(maxLatency), 2)
	for i, n := range v.bins {
		if n > 0 {
			_ = h.RecordValues(clamp(time.Duration(middle(i))), int64(n)) // it is within the range
		}
	}
	return h
}

// Latency sums the interval up.
func (v Interval) Latency() Latency { return summarise(v.hist()) }

// WriteLog writes a run's intervals to w as a log of HdrHistogram, which its tools read: one line an interval,
// latencies in nanoseconds, the column of the longest in milliseconds. start is when the run began.
func WriteLog(w io.Writer, what string, start time.Time, intervals []Interval) error {
	log := hdrhistogram.NewHistogramLogWriter(w)
	// The format's line for the base time has whole seconds.
	base := start.Truncate(time.Second).UnixMilli()
	log.SetBaseTime(base)
	for _, write := range []func() error{
		func() error { return log.OutputComment("[" + what + "]") },
		log.OutputLogFormatVersion,
		func() error { return log.OutputBaseTime(base) },
		func() error { return log.OutputStartTime(start.UnixMilli()) },
		log.OutputLegend,
	} {
		if err := write(); err != nil {
			return err
		}
	}
	for _, v := range intervals {
		h := v.hist()
		h.SetStartTimeMs(start.Add(v.From).UnixMilli())
		h.SetEndTimeMs(start.Add(v.From + v.Length).UnixMilli())
		h.SetTag(v.Tag)
		if err := log.OutputIntervalHistogram(h); err != nil {
			return err
		}
	}
	return nil
}
