package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecordAndMerge(t *testing.T) {
	start := time.Now()
	a, b := NewRecorder(), NewRecorder()
	a.Begin(start)
	b.Begin(start)
	for i := range 100 {
		at := start.Add(time.Duration(i) * time.Millisecond)
		a.Record(Read, at, at.Add(time.Duration(i+1)*time.Microsecond))
	}
	at := start.Add(250 * time.Millisecond)
	b.Record(Write, at, at.Add(time.Hour))
	b.Record(Write, at, at.Add(-time.Hour))
	b.Lag(3 * time.Millisecond)
	assert.EqualValues(t, 100, a.Ops())

	m := Merge(a, b)
	assert.EqualValues(t, 102, m.Ops())
	assert.EqualValues(t, 100, m.Of(Read))
	assert.EqualValues(t, 2, m.Of(Write))
	l := m.LatencyOf(Read)
	assert.InDelta(t, 50, l.P50, 1)
	assert.InDelta(t, 90, l.P90, 1)
	assert.InDelta(t, 99, l.P99, 1)
	assert.InDelta(t, 100, l.Max, 1)
	assert.InDelta(t, 60e6, m.Latency().Max, 1e5, "longer than a minute counts as one")
	assert.InDelta(t, 3000, m.Lag().P99, 10)
	assert.EqualValues(t, 101, m.Slices[0])
}

func TestSlicesBelongToTheEnd(t *testing.T) {
	start := time.Now()
	r := NewRecorder()
	r.Begin(start)
	r.Record(Read, start, start.Add(250*time.Millisecond))
	r.Record(Read, start, start.Add(299*time.Millisecond))
	r.Record(Read, start, start.Add(50*time.Millisecond))
	m := Merge(r)
	assert.Equal(t, []uint32{1, 0, 2}, m.Slices)
	m.Add(Merge(r))
	assert.Equal(t, []uint32{1, 0, 2, 1, 0, 2}, m.Slices)
	assert.EqualValues(t, 6, m.Ops())
}

func TestMedian(t *testing.T) {
	assert.Zero(t, Median(nil))
	assert.Equal(t, 2.0, Median([]uint32{9, 1, 2}))
	assert.Equal(t, 2.5, Median([]uint32{9, 1, 2, 3}))
}

func TestRecover(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		since []uint32
		want  Recovery
	}{
		"no dip":               {[]uint32{100, 95, 91, 100}, Recovery{0.91, 0, true}},
		"one slice":            {[]uint32{20, 95, 95, 95}, Recovery{0.2, 100 * ms, true}},
		"fault in mid-slice":   {[]uint32{95, 50, 10, 92, 99, 99}, Recovery{0.1, 300 * ms, true}},
		"a lucky slice":        {[]uint32{0, 95, 0, 0, 95, 96, 99}, Recovery{0, 400 * ms, true}},
		"never":                {[]uint32{0, 0, 50, 80}, Recovery{0, 400 * ms, false}},
		"late noise":           {append(many(95, 15), 10, 95), Recovery{0.1, 0, true}},
		"nothing measured":     {nil, Recovery{1, 0, true}},
		"back at the very end": {[]uint32{0, 0, 99}, Recovery{0, 200 * ms, true}},
	} {
		got := Recover(c.since, 100, 0.9)
		assert.InDelta(t, c.want.Dip, got.Dip, 1e-9, name)
		assert.Equal(t, c.want.After, got.After, name)
		assert.Equal(t, c.want.Recovered, got.Recovered, name)
	}
}

func many(v uint32, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func BenchmarkRecord(b *testing.B) {
	start := time.Now()
	r := NewRecorder()
	r.Begin(start)
	b.ReportAllocs()
	for b.Loop() {
		r.Record(Read, start, start.Add(time.Millisecond))
	}
}
