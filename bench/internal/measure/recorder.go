// Package measure counts operations and their latencies: one HDR histogram
// (Tene's, 3 significant digits) a worker, merged at the end, and operations per
// 100 ms slice of time, from which dips and recoveries are read.
package measure

import (
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Slice is the length of one slice of the throughput curve.
const Slice = 100 * time.Millisecond

// Latencies are recorded from 1 ns to a minute; longer ones count as a minute.
const maxLatency = time.Minute

// Kind tells reads from writes in a Recorder.
type Kind int

// The kinds of operation.
const (
	Read Kind = iota
	Write
	kinds
)

// Recorder takes the measurements of one worker. Record is for that worker alone;
// Ops may be called by anybody at any time.
type Recorder struct {
	start  time.Time
	hist   [kinds]*hdrhistogram.Histogram // nil until the first of its kind
	slices []uint32
	ops    atomic.Int64            // also read by the progress display while the worker runs
	lag    *hdrhistogram.Histogram // nil until the first

	timeline *Timeline // nil for none
	now      bins      // of the interval numbered interval, not in timeline yet
	interval int
	placed   int // how many are in now
}

// NewRecorder makes a recorder whose Begin has to be called before anything else.
func NewRecorder() *Recorder {
	// A histogram takes 200 KB. Most workers read and few write, and a thousand
	// workers' empty histograms would push the cache under test out of the CPU's.
	r := &Recorder{}
	r.hist[Read] = newHist()
	return r
}

// Begin starts the slices at start, which all workers of a run share.
func (r *Recorder) Begin(start time.Time) { r.start = start }

// On has the recorder's operations show in t, too, which all workers of a run share. Call it after Begin.
func (r *Recorder) On(t *Timeline) { r.timeline = t }

// place counts an operation that took d in the interval in which it ended.
func (r *Recorder) place(d, end time.Duration) {
	if i := max(0, int(end/Every)); i != r.interval {
		r.flush()
		r.interval = i
	}
	r.now[binOf(clamp(d))]++
	r.placed++
}

// flush hands the counts of an interval over.
func (r *Recorder) flush() {
	if r.placed > 0 {
		r.timeline.add(r.interval, &r.now)
		r.now, r.placed = bins{}, 0
	}
}

func newHist() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(maxLatency), 3) }

// Record counts an operation that was meant to begin at from and ended at end.
func (r *Recorder) Record(k Kind, from, end time.Time) {
	if r.hist[k] == nil {
		r.hist[k] = newHist()
	}
	// Can't fail: the value is within the histogram's range.
	_ = r.hist[k].RecordValue(clamp(end.Sub(from)))
	i := int(end.Sub(r.start) / Slice)
	for i >= len(r.slices) {
		r.slices = append(r.slices, 0)
	}
	r.slices[max(i, 0)]++
	if r.timeline != nil {
		r.place(end.Sub(from), end.Sub(r.start))
	}
	r.ops.Add(1)
}

// Lag records by how much the generator itself was late to begin an operation it
// had time for.
func (r *Recorder) Lag(d time.Duration) {
	if r.lag == nil {
		r.lag = newHist()
	}
	_ = r.lag.RecordValue(clamp(d))
}

// Ops is how many operations were recorded so far.
func (r *Recorder) Ops() int64 { return r.ops.Load() }

func clamp(d time.Duration) int64 { return int64(min(max(d, 1), maxLatency)) }

// Merged is what all workers of a run measured together.
type Merged struct {
	hist   [kinds]*hdrhistogram.Histogram
	all    *hdrhistogram.Histogram
	lag    *hdrhistogram.Histogram
	Slices []uint32 // operations that ended in each slice since the start
	// Intervals are the latencies over time, where the recorders had a Timeline.
	Intervals []Interval
}

// Merge adds up recorders whose workers have ended.
func Merge(recs ...*Recorder) *Merged {
	m := &Merged{all: newHist(), lag: newHist()}
	for k := range m.hist {
		m.hist[k] = newHist()
	}
	lines := map[*Timeline]bool{}
	for _, r := range recs {
		if r.flush(); r.timeline != nil {
			lines[r.timeline] = true
		}
		for k := range r.hist {
			merge(m.hist[k], r.hist[k])
		}
		merge(m.lag, r.lag)
		for i, n := range r.slices {
			for i >= len(m.Slices) {
				m.Slices = append(m.Slices, 0)
			}
			m.Slices[i] += n
		}
	}
	for _, h := range m.hist {
		m.all.Merge(h)
	}
	for t := range lines { // there is one
		m.Intervals = append(m.Intervals, t.Intervals()...)
	}
	return m
}

func merge(to, from *hdrhistogram.Histogram) {
	if from != nil {
		to.Merge(from)
	}
}

// Add merges another run into m; its slices are put at the end of m's.
func (m *Merged) Add(o *Merged) {
	for k := range m.hist {
		m.hist[k].Merge(o.hist[k])
	}
	m.all.Merge(o.all)
	m.lag.Merge(o.lag)
	from := time.Duration(len(m.Slices)) * Slice
	for _, v := range o.Intervals {
		v.From += from
		m.Intervals = append(m.Intervals, v)
	}
	m.Slices = append(m.Slices, o.Slices...)
}

// Latency is a summary of a histogram, in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func summarise(h *hdrhistogram.Histogram) Latency {
	q := func(p float64) float64 { return float64(h.ValueAtQuantile(p)) / 1e3 }
	return Latency{P50: q(50), P90: q(90), P99: q(99), P999: q(99.9), Max: float64(h.Max()) / 1e3}
}

// Ops counts all operations, Of those of one kind.
func (m *Merged) Ops() int64 { return m.all.TotalCount() }

// Of counts the operations of one kind.
func (m *Merged) Of(k Kind) int64 { return m.hist[k].TotalCount() }

// Latency sums up all operations, LatencyOf those of one kind.
func (m *Merged) Latency() Latency { return summarise(m.all) }

// LatencyOf sums up the operations of one kind.
func (m *Merged) LatencyOf(k Kind) Latency { return summarise(m.hist[k]) }

// Lag sums up how late the generator was.
func (m *Merged) Lag() Latency { return summarise(m.lag) }
