package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/bench/internal/value"
)

// The phases of a load. Detection is the part of a fault that a scenario grants the
// client to find out about it.
const (
	warming = iota
	before
	detection
	during
	after
	phases
)

// tally is what one worker saw in one phase.
type tally struct {
	ops, sets, errors, misses, wrong, stale, waited int64
	read, set                                       []uint32 // latencies, µs
}

// load is workers that read and set keys as fast as they can, and check every value.
type load struct {
	r       *run
	caches  []cache // by worker, in turns: one is one process
	keys    []string
	history *value.History
	reads   float64 // share of the operations that read; the rest write
	fresh   *fresh  // if not nil, some reads are of keys that nobody has read before
	phase   atomic.Int32
	began   [phases]time.Time
	length  [phases]time.Duration
	tallies [][phases]tally // by worker
	failed  atomic.Int64    // when an operation failed last, since born
	born    time.Time
	cancel  context.CancelFunc
	ended   chan error
	origin  *backing                               // behind loaders; nil without
	watch   func(ops int64, elapsed time.Duration) // every 100 ms, if it is not nil
}

// start fills the cache by calling fill for every key, and puts the load on it.
func (r *run) start(l *load, fill func(key string) error) error {
	l.r, l.keys, l.history, l.tallies = r, keys(r.Keys), value.NewHistory(r.Keys), make([][phases]tally, r.Workers)
	l.born, l.ended = time.Now(), make(chan error, 1)
	if err := r.until(l.keys, fill); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	l.cancel = cancel
	l.began[warming] = time.Now()
	go func() {
		_, err := drive.Run(ctx, drive.Config{Workers: r.Workers, Duration: time.Hour, Seed: r.seed, Watch: l.watch}, l.do)
		l.ended <- err
	}()
	return nil
}

// enter begins a phase.
func (l *load) enter(phase int) {
	now := time.Now()
	old := l.phase.Swap(int32(phase))
	l.length[old] += now.Sub(l.began[old])
	l.began[phase] = now
}

// stop ends the load.
func (l *load) stop() error {
	l.enter(int(l.phase.Load()))
	l.cancel()
	return <-l.ended
}

// do is one operation. It is called with a context that does not end before it: what
// ends with the run must not look like an error.
func (l *load) do(_ context.Context, w *drive.Worker, _ int64) measure.Kind {
	c := l.caches[w.ID%len(l.caches)]
	i := w.Rand.IntN(len(l.keys))
	read := w.Rand.Float64() < l.reads
	phase, began := l.phase.Load(), time.Now()
	var got tally
	switch {
	case read && l.fresh.next(w.Rand):
		l.getFresh(c, &got)
	case read:
		l.get(c, i, &got)
	default:
		l.put(c, i, &got)
	}
	took := time.Since(began)
	if phase <= before {
		// Whoever was under way when the fault came suffers from it.
		phase = l.phase.Load()
	}
	t := &l.tallies[w.ID][phase]
	t.ops++
	t.errors += got.errors
	t.misses += got.misses
	t.wrong += got.wrong
	t.stale += got.stale
	if took >= l.r.Timeout {
		t.waited++
	}
	if got.errors > 0 {
		l.failed.Store(int64(time.Since(l.born)))
	}
	us := uint32(min(took.Microseconds(), 1<<32-1))
	if read {
		t.read = append(t.read, us)
		return measure.Read
	}
	t.sets++
	t.set = append(t.set, us)
	return measure.Write
}

func (l *load) get(c cache, i int, t *tally) {
	floor := l.history.Floor(i, 0)
	b, err := c.Get(context.Background(), l.keys[i])
	switch {
	case errors.Is(err, rival.ErrMiss):
		t.misses++
	case err != nil:
		t.errors++
		l.r.failed("get", err)
	default:
		l.check(l.keys[i], b, floor.Newest, t)
	}
}

// check holds a value that came back against the oldest version that may.
func (l *load) check(key string, b []byte, oldest uint64, t *tally) {
	v, err := value.Check(key, b)
	switch {
	case err != nil:
		t.wrong++
		l.r.bad.Add(err.Error())
	case v < oldest:
		t.stale++
		l.r.bad.Add("stale value: an older version than the acknowledged one")
	}
}

func (l *load) put(c cache, i int, t *tally) {
	v, done := l.history.Begin(i)
	err := c.Set(context.Background(), l.keys[i], value.Make(l.keys[i], v, valueSize))
	done(err == nil)
	if err != nil {
		t.errors++
		l.r.failed("set", err)
	}
}

// sum adds up what all workers saw in some phases, once the load has stopped.
func (l *load) sum(of ...int) (s tally, length time.Duration) {
	for _, p := range of {
		length += l.length[p]
		for i := range l.tallies {
			t := &l.tallies[i][p]
			s.ops, s.sets, s.errors, s.misses = s.ops+t.ops, s.sets+t.sets, s.errors+t.errors, s.misses+t.misses
			s.wrong, s.stale, s.waited = s.wrong+t.wrong, s.stale+t.stale, s.waited+t.waited
			s.read, s.set = append(s.read, t.read...), append(s.set, t.set...)
		}
	}
	return s, length
}

// bad counts what was wrong and what was stale in any phase.
func (l *load) bad() (wrong, stale int64) {
	for p := range phases {
		s, _ := l.sum(p)
		wrong, stale = wrong+s.wrong, stale+s.stale
	}
	return wrong, stale
}

// sweep reads every key once more, when all is well again, and checks it.
func (l *load) sweep() (t tally) {
	for i := range l.keys {
		l.get(l.caches[i%len(l.caches)], i, &t)
	}
	return t
}

// quantile is the q-th of latencies, in milliseconds; it sorts them.
func quantile(us []uint32, q float64) float64 {
	if len(us) == 0 {
		return 0
	}
	slices.Sort(us)
	return float64(us[int(q*float64(len(us)-1)+0.5)]) / 1e3
}

// perSecond and percent are 0 where there is nothing to divide by.
func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

func percent(part, whole int64) float64 { return 100 * ratio(float64(part), float64(whole)) }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
