package measure

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(0, int64(maxLatency)).Draw(t, "v")
		if got := middle(binOf(v)); max(got-v, v-got) > v/perOctave {
			t.Fatalf("%d is counted as %d", v, got)
		}
		if w := rapid.Int64Range(0, v).Draw(t, "w"); binOf(w) > binOf(v) {
			t.Fatalf("%d has a higher bin than %d", w, v)
		}
	})
	assert.Equal(t, len(bins{})-1, binOf(1<<62))
	assert.Zero(t, binOf(-1))
}

// TestTimelineAgainstAModel: whatever is recorded when, each interval has what ended in it, and nothing is lost when
// intervals are joined.
func TestTimelineAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Now()
		line := &Timeline{}
		recs := []*Recorder{NewRecorder(), NewRecorder()}
		for _, r := range recs {
			r.Begin(start)
			r.On(line)
		}
		ends := rapid.SliceOfN(rapid.Int64Range(0, int64(rapid.SampledFrom([]time.Duration{3 * time.Second, 2 * time.Hour}).Draw(t, "length"))), 1, 60).Draw(t, "ends")
		slices.Sort(ends)
		for i, at := range ends {
			end := start.Add(time.Duration(at))
			recs[i%2].Record(Read, end.Add(-time.Millisecond), end)
		}
		m := Merge(recs...)
		n := int64(0)
		for i, v := range m.Intervals {
			h := v.hist()
			n += h.TotalCount()
			want := 0
			for _, at := range ends {
				if d := time.Duration(at); d >= v.From && d < v.From+v.Length {
					want++
				}
			}
			require.EqualValues(t, want, h.TotalCount())
			require.InDelta(t, 1000, v.Latency().P50, 10)
			require.True(t, i == 0 || m.Intervals[i-1].From < v.From)
		}
		require.EqualValues(t, len(ends), n)
		require.LessOrEqual(t, len(m.Intervals), most)

		m.Add(Merge(recs...))
		last := m.Intervals[len(m.Intervals)-1]
		require.GreaterOrEqual(t, last.From, time.Duration(ends[len(ends)-1])-last.Length, "what is added comes behind")
	})
}

// TestWriteLog: the library reads its own format back, with the times and counts that were.
func TestWriteLog(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_250)
	line, r := &Timeline{}, NewRecorder()
	r.Begin(start)
	r.On(line)
	for i := range 30 {
		end := start.Add(time.Duration(i) * 100 * time.Millisecond)
		r.Record(Write, end.Add(-3*time.Millisecond), end)
	}
	m := Merge(r)
	require.Len(t, m.Intervals, 6)
	var out bytes.Buffer
	require.NoError(t, WriteLog(&out, "a run", start, m.Intervals))
	assert.Contains(t, out.String(), "#[a run]\n")
	in, n := hdrhistogram.NewHistogramLogReader(&out), int64(0)
	for i := range 6 {
		h, err := in.NextIntervalHistogram()
		require.NoError(t, err)
		require.NotNil(t, h)
		n += h.TotalCount()
		assert.EqualValues(t, start.Add(time.Duration(i)*Every).UnixMilli(), h.StartTimeMs())
		assert.InDelta(t, 3e6, h.ValueAtQuantile(50), 3e4)
	}
	assert.EqualValues(t, 30, n)
	assert.Error(t, WriteLog(broken{}, "a run", start, nil))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, assert.AnError }

// BenchmarkHandOver is what a worker's operation waits for twice a second: with bins, and as it would be with the
// library's histograms.
func BenchmarkHandOver(b *testing.B) {
	b.Run("bins", func(b *testing.B) {
		line, r := &Timeline{}, NewRecorder()
		r.On(line)
		for b.Loop() {
			r.now[binOf(12_345)]++
			r.placed++
			r.flush()
		}
	})
	b.Run("library", func(b *testing.B) {
		all, one := hdrhistogram.New(1, int64(maxLatency), 2), hdrhistogram.New(1, int64(maxLatency), 2)
		for b.Loop() {
			_ = one.RecordValue(12_345)
			all.Merge(one)
			one.Reset()
		}
	})
}
