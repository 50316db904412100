package replay

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/client/item"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func thirtyThree(int) int { return 33 }

// TestEveryOperation replays a dialogue of which every answer is known and looks at
// what the cache holds after it.
func TestEveryOperation(t *testing.T) {
	f, err := fleet.Start(2, 0)
	require.NoError(t, err)
	defer f.Close()
	tr := &trace.Trace{Keys: []string{"a", "n"}, Size: []uint32{64, 0}}
	for _, op := range []trace.Op{
		trace.Get, trace.Get, trace.Set, trace.Get, trace.Delete, trace.Get, // through the loader
		trace.Replace, trace.CAS, trace.Append, // nothing there yet: outcomes, no errors
		trace.Gets, trace.Gets, trace.CAS, trace.Append, trace.Prepend, trace.Add, trace.Replace,
	} {
		tr.Reqs = append(tr.Reqs, trace.Request{Key: 0, ValueSize: 64, Op: op})
	}
	for _, op := range []trace.Op{trace.Incr, trace.Incr, trace.Incr, trace.Decr} {
		tr.Reqs = append(tr.Reqs, trace.Request{Key: 1, TTL: 60, Op: op})
	}
	sizes := Sizes(tr, thirtyThree)
	assert.Equal(t, []int{64, 33}, sizes)
	o := origin.NewSynthetic(tr.Keys, sizes, 0)
	s, err := subject.New(subject.Config{Nodes: f.Nodes(), Replicas: 2, Keys: tr.Keys, Size: func(i int) int { return sizes[i] }, Origin: o, Prefix: "v:"})
	require.NoError(t, err)
	defer s.Close()
	p := New(tr, s, "b:", thirtyThree)
	before := s.Snapshot()
	run, err := drive.Run(t.Context(), drive.Config{Workers: 1, Ops: int64(len(tr.Reqs))},
		func(ctx context.Context, _ *drive.Worker, n int64) measure.Kind { return p.Do(ctx, n) })
	require.NoError(t, err)
	r := s.Result("x", 0, before, run)
	assert.EqualValues(t, 6, r.Reads)
	assert.EqualValues(t, 14, r.Writes)
	assert.True(t, r.Ok(), "%v", r.FirstErrors)
	assert.EqualValues(t, 1, r.Stores)
	assert.EqualValues(t, 3, r.Loads, "first get, get after set around the cache, get after delete")

	it, err := s.Client.Get(t.Context(), "b:a")
	require.NoError(t, err)
	assert.Len(t, it.Value, 64)
	it, err = s.Client.Get(t.Context(), "b:n:n")
	require.NoError(t, err)
	assert.Equal(t, "1001", string(it.Value))
	_, err = s.Client.Get(t.Context(), "b:n")
	assert.ErrorIs(t, err, item.ErrCacheMiss)
}

// TestWrongValuesAreFound plants a value of another key under a bare one.
func TestWrongValuesAreFound(t *testing.T) {
	f, err := fleet.Start(1, 0)
	require.NoError(t, err)
	defer f.Close()
	tr := &trace.Trace{Keys: []string{"a"}, Size: []uint32{0}, Reqs: []trace.Request{{Op: trace.Gets}, {Op: trace.CAS}}}
	s, err := subject.New(subject.Config{Nodes: f.Nodes(), Replicas: 1, Keys: tr.Keys, Size: func(int) int { return 9 }, Origin: origin.NewSynthetic(tr.Keys, []int{9}, 0)})
	require.NoError(t, err)
	defer s.Close()
	p := New(tr, s, "b:", thirtyThree)
	_, err = s.Client.Set(t.Context(), item.Item{Key: "b:a", Value: []byte("not what stands here")})
	require.NoError(t, err)
	before := s.Snapshot()
	for n := range int64(2) {
		p.Do(t.Context(), n)
	}
	r := s.Result("x", 0, before, drive.Result{Merged: measure.Merge()})
	assert.EqualValues(t, 2, r.Wrong)
	assert.False(t, r.Ok())
}
