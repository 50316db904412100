package subject

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tamper is an origin that hands out what it is told to.
type tamper struct {
	*origin.Synthetic
	body []byte
	err  error
}

func (t *tamper) Load(ctx context.Context, key string) ([]byte, error) {
	if t.err != nil {
		return nil, t.err
	}
	if t.body != nil {
		return t.body, nil
	}
	return t.Synthetic.Load(ctx, key)
}

func start(t *testing.T, write loader.WritePolicy) (*Subject, *tamper) {
	t.Helper()
	f, err := fleet.Start(2, 0)
	require.NoError(t, err)
	keys, sizes := []string{"a", "b", "c"}, []int{50, 60, 70}
	o := &tamper{Synthetic: origin.NewSynthetic(keys, sizes, 0)}
	s, err := New(Config{Nodes: f.Nodes(), Replicas: 2, Keys: keys, Size: func(i int) int { return sizes[i] }, Origin: o, Prefix: "t:", Write: write})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, s.Close())
		assert.NoError(t, f.Close())
	})
	return s, o
}

func TestReadAndWriteAreCounted(t *testing.T) {
	for _, policy := range []loader.WritePolicy{loader.WriteThrough, loader.WriteAround} {
		s, _ := start(t, policy)
		before := s.Snapshot()
		run, err := drive.Run(t.Context(), drive.Config{Workers: 1, Ops: 9}, func(ctx context.Context, _ *drive.Worker, n int64) measure.Kind {
			if n%3 == 2 {
				s.Write(ctx, 1)
				return measure.Write
			}
			s.Read(ctx, 1)
			return measure.Read
		})
		require.NoError(t, err)
		r := s.Result("x", 1, before, run)
		assert.EqualValues(t, 9, r.Ops)
		assert.EqualValues(t, 6, r.Reads)
		assert.EqualValues(t, 3, r.Stores)
		assert.EqualValues(t, 6, r.Hits+r.Misses)
		assert.True(t, r.Ok(), "%v", r.FirstErrors)
		assert.Zero(t, r.Stale, "own writes are seen at once")
		if policy == loader.WriteThrough {
			assert.EqualValues(t, 1, r.Loads)
		} else {
			assert.EqualValues(t, 3, r.Loads)
		}
		var ops int64
		for _, n := range r.NodeOps {
			ops += n
		}
		assert.Positive(t, ops)
	}
}

// TestChecksFindWhatIsWrong plants every kind of wrong answer.
func TestChecksFindWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	count := func(s *Subject, i int) (errs, wrong int64) {
		before := s.Snapshot()
		s.Read(ctx, i)
		after := s.Snapshot()
		return after.errs - before.errs, after.wrong - before.wrong
	}
	s, o := start(t, loader.WriteAround)
	o.err = errors.New("disk on fire")
	errs, wrong := count(s, 0)
	assert.EqualValues(t, 1, errs)
	assert.Zero(t, wrong)
	o.err, o.body = nil, value.Make("b", 1, 50)
	errs, wrong = count(s, 0)
	assert.Zero(t, errs)
	assert.EqualValues(t, 1, wrong, "another key's value")

	damaged := value.Make("c", 1, 50)
	damaged[40] ^= 1
	o.body = damaged
	_, wrong = count(s, 2)
	assert.EqualValues(t, 1, wrong, "a damaged value")

	o.body = nil
	for range 3 {
		s.Write(ctx, 1)
	}
	o.body = value.Make("b", 1, 50)
	before := s.Snapshot()
	s.Read(ctx, 1)
	after := s.Snapshot()
	stale := 0
	for _, b := range report.StaleBuckets(before.stale, after.stale) {
		stale += int(b.Reads)
	}
	assert.EqualValues(t, 1, int64(stale)+after.wrong-before.wrong, "an old version")
	assert.Len(t, s.errs.First(), 3-stale+1)

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	s.Fail(cancelled, "get", context.Canceled)
	assert.Equal(t, after.errs, s.Snapshot().errs, "the end of a run is no error")
}

func TestForeignBytesInTheCacheDoNotReachTheCaller(t *testing.T) {
	s, _ := start(t, loader.WriteAround)
	_, err := s.Client.Set(t.Context(), item.Item{Key: "t:a", Value: []byte("somebody else's")})
	require.NoError(t, err)
	before := s.Snapshot()
	s.Read(t.Context(), 0)
	after := s.Snapshot()
	assert.Equal(t, before.wrong, after.wrong)
	assert.Equal(t, before.errs, after.errs)
	assert.EqualValues(t, 1, after.loads-before.loads)
}

func TestErrorsKeepsTheFirstFew(t *testing.T) {
	var e Errors
	for i := range 100 {
		e.Add(string(rune('a' + i%10)))
	}
	assert.EqualValues(t, 100, e.n.Load())
	assert.Equal(t, []string{"a", "b", "c", "d", "e"}, e.First())
}
