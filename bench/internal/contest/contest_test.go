package contest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool is memcacheds for as many nodes as a table wants.
func pool(t *testing.T) *Arena {
	var addrs []string
	var pids []int
	for range 3 {
		m := stock.ForTest(t)
		addrs, pids = append(addrs, m.Addr()), append(pids, m.Pid())
	}
	return &Arena{Players: func(n int) []Player {
		cpu := cputime.Reader(pids[:n]...)
		return []Player{Gomemcache(Base, cpu, addrs[:n]...), Memherd(cpu, addrs[:n]...), Gomemcache(Noise, cpu, addrs[:n]...)}
	}}
}

// TestEveryTable plays all tables for an instant: every kind of work gives right
// answers with every client, and every promise is judged.
func TestEveryTable(t *testing.T) {
	a := pool(t)
	var promises Tally
	for _, table := range Tables() {
		for i := range table.Cases {
			table.Cases[i].Goroutines = min(table.Cases[i].Goroutines, 8)
		}
		var turns int
		res, err := a.Play(t.Context(), table, Options{Rounds: 1, Slot: 5 * time.Millisecond, Watch: func(string) { turns++ }})
		require.NoError(t, err, table.Name)
		assert.Len(t, res.Rows, a.Turns(table), table.Name)
		assert.Equal(t, a.Turns(table), turns, table.Name)
		promises = res.Tally(promises)
		var out bytes.Buffer
		res.Print(&out)
		assert.Contains(t, out.String(), "\nmemherd ")
		assert.Contains(t, out.String(), "\ngomemcache again ")
		assert.Equal(t, table.Deadline > 0, strings.Contains(out.String(), "memherd, no deadline"))
		for _, r := range res.Rows {
			assert.Positive(t, r.OpsPerS, "%s: %s", table.Name, r.Name)
			assert.Positive(t, r.ClientCPU, "%s: %s", table.Name, r.Name)
		}
	}
	// Two tables of five ratios, a p50 and a CPU each; large values; GetMulti with five numbers of callers.
	assert.Equal(t, 2*7+1+5, promises.Judged)
}

// fake is a client that answers what it likes.
type fake struct {
	mu   sync.Mutex
	m    map[string][]byte
	get  func(key string, have []byte) ([]byte, error)
	drop string // a key that GetMulti does not find
}

func (f *fake) Get(_ context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.get(key, f.m[key])
}

func (f *fake) GetMulti(ctx context.Context, keys []string, each func(int, []byte)) error {
	for i, k := range keys {
		b, err := f.Get(ctx, k)
		if err != nil {
			return err
		}
		if k != f.drop {
			each(i, b)
		}
	}
	return nil
}

func (f *fake) Set(_ context.Context, key string, v []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m[key] = v
	return nil
}

func (f *fake) Close() error { return nil }

// TestWrongAnswersEndTheComparison: a client that lies, loses or fails is found out by
// every kind of work that reads.
func TestWrongAnswersEndTheComparison(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		f    *fake
		want error
	}{
		"right":          {&fake{get: func(_ string, b []byte) ([]byte, error) { return b, nil }}, nil},
		"another's":      {&fake{get: func(string, []byte) ([]byte, error) { return value.Make("x", 1, 100), nil }}, value.ErrWrong},
		"another length": {&fake{get: func(_ string, b []byte) ([]byte, error) { return b[:99], nil }}, value.ErrWrong},
		"fails":          {&fake{get: func(string, []byte) ([]byte, error) { return nil, broken }}, broken},
	} {
		for _, w := range []Work{Gets, Mixed, Multi} {
			c.f.m = map[string][]byte{}
			s := NewStock(60, 100)
			require.NoError(t, s.Fill(t.Context(), c.f, 0))
			require.Len(t, c.f.m, 60)
			op := s.op(w, c.f)
			pick := s.picks(w) - 1
			assert.ErrorIs(t, op(t.Context(), pick), c.want, "%s, work %d", name, w)
			if w == Multi && c.want == nil {
				c.f.drop = s.Keys[7]
				assert.ErrorIs(t, op(t.Context(), 59), value.ErrWrong, "a lost key")
			}
		}
	}
}

func TestStocks(t *testing.T) {
	seen := map[string]bool{}
	for _, size := range []int{10, 100} {
		s := NewStock(1000, size)
		for i, v := range s.values {
			assert.Len(t, v, size)
			assert.False(t, seen[string(v)] || seen[s.Keys[i]], "no two alike")
			seen[string(v)], seen[s.Keys[i]] = true, true
		}
	}
	s := NewStock(10, 10)
	sets := &fake{m: map[string][]byte{}}
	op := s.op(Mixed, sets)
	for pick := range s.picks(Mixed) {
		if pick%10 == 0 {
			require.NoError(t, op(t.Context(), pick))
		}
	}
	assert.Len(t, sets.m, 10, "one in ten is a set, of each key")
	require.NoError(t, s.op(Sets, sets)(t.Context(), 9))
	assert.Equal(t, 100, Case{Size: 100_000}.keys())
	assert.Equal(t, 1000, Case{Size: 100}.keys())
	assert.Equal(t, 7, Case{Size: 100, Keys: 7}.keys())
}

func TestJudging(t *testing.T) {
	s := func(name string, ratio float64) versus.Score {
		return versus.Score{Name: name, Goroutines: 64, OpsPerS: 1000 * ratio, Ratio: versus.Spread{Mid: ratio, Min: ratio, Max: ratio},
			CPURatio: versus.Spread{Mid: 2.5, Min: 2, Max: 3}}
	}
	again := s(Noise, 1)
	again.Ratio, again.CPURatio = versus.Spread{Mid: 1, Min: 0.9, Max: 1.1}, versus.Spread{Mid: 1, Min: 0.9, Max: 1.1}
	var r Result
	r.judge(Table{}, GetCase(64, 100), []versus.Score{s(Base, 1), s(Ours, 4), again, s("other", 1.05), s("third", 2)})
	var verdicts []versus.Verdict
	for _, row := range r.Rows {
		verdicts = append(verdicts, row.Verdict)
	}
	assert.Equal(t, []versus.Verdict{versus.None, versus.Below, versus.None, versus.Even, versus.None}, verdicts)
	require.Len(t, r.Checks, 1)
	assert.Equal(t, versus.Reached, r.Checks[0].Verdict)
	assert.Equal(t, Tally{Judged: 2, Held: 1}, r.Tally(Tally{}))
	r.Rows[1].Verdict = versus.Noisy
	assert.Equal(t, Tally{Judged: 12, Held: 11, Noisy: 1}, r.Tally(Tally{Judged: 10, Held: 10}))
	r.Rows[1].Verdict = versus.Below
	assert.Empty(t, r.Notes)

	var out bytes.Buffer
	r.Print(&out)
	assert.Contains(t, out.String(), "memherd                   64  4,000    -    -   4.00  4.00  4.00    -       -   5.00  8.00  below\n")
	assert.Contains(t, out.String(), "times as little: 2.50 (2.00 to 3.00; noise 0.90 to 1.10), floor 2.00: ok\n")

	r = Result{}
	r.judge(Table{Deadline: time.Second}, GetCase(1, 100), []versus.Score{s(Base, 1), s(Ours, 4), again, s(Ours+without, 5), s(Base+without, 1)})
	assert.Equal(t, []string{"a context.WithTimeout an operation at 1 goroutine costs memherd 20.0 % of its throughput and +0.00 µs of CPU, " +
		"gomemcache 0.0 % of its throughput and +0.00 µs of CPU"}, r.Notes)
}

func TestAllocs(t *testing.T) {
	m := stock.ForTest(t)
	allocs, err := Allocs(t.Context(), m.Addr(), 5)
	require.NoError(t, err)
	require.Len(t, allocs, 7)
	assert.Equal(t, versus.None, allocs[5].Verdict, "nothing is promised of others")
	var out bytes.Buffer
	PrintAllocs(&out, []Alloc{{Ours, "Get", 2, 1, versus.Below}, {Ours, "Set", 0, 0, versus.Reached}, {Base, "Get", 9, -1, versus.None}})
	assert.Contains(t, out.String(), "memherd      Get            2        1  over\n")
	assert.Contains(t, out.String(), "gomemcache   Get            9\n")
	require.NoError(t, m.Kill())
	_, err = Allocs(t.Context(), m.Addr(), 5)
	assert.ErrorIs(t, err, client.ErrNodeDown)
}

func TestGomemcacheMustPlayFirst(t *testing.T) {
	a := Arena{Players: func(int) []Player { return []Player{{Name: Ours}} }}
	_, err := a.Play(t.Context(), Tables()[0], Options{Rounds: 1, Slot: time.Millisecond})
	assert.ErrorContains(t, err, "gomemcache must play")
}
