package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// schedule is one random run: processes (loaders) over one cache and one origin, in
// which every request to a copy and every step of the origin takes a random while, so
// that they overlap in every order. Time is synctest's: a run costs microseconds.
type schedule struct {
	seed     uint64
	copies   int
	policies []loader.WritePolicy // one per process
	actors   int                  // per process
	ops      int                  // per actor
	writes   int                  // of 10 operations
	noNeg    bool
	flaps    bool // copies become unreachable and return; for one process only
	fresh    loader.Freshness
	ttl      time.Duration
	fails    bool // a quarter of the loads
	tier0    bool // the copies know no marks
	multi    bool // half of the reads are of many keys
}

func (s schedule) String() string {
	return fmt.Sprintf("seed %d, %d copies, %v, %d actors, %d ops, %d/10 writes, flaps %v, TTL %v, %+v, fails %v, tier0 %v, multi %v",
		s.seed, s.copies, s.policies, s.actors, s.ops, s.writes, s.flaps, s.ttl, s.fresh, s.fails, s.tier0, s.multi)
}

// history is the origin as a register that numbers its versions.
type history struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	versions []string       // "" is absent; the index is the version
	index    map[string]int // of a value
	done     int            // newest version whose writer has returned
	wrong    []string
	fails    bool
}

var errBroken = errors.New("the origin is broken")

func (h *history) nap(most time.Duration) {
	h.mu.Lock()
	d := time.Duration(h.rnd.Int64N(int64(most)))
	if h.rnd.IntN(50) == 0 {
		d += 2500 * time.Millisecond // longer than the lease
	}
	h.mu.Unlock()
	time.Sleep(d)
}

// version is the key under which a writer's context carries where to put its version.
type version struct{}

func (h *history) commit(ctx context.Context, v string) {
	h.nap(5 * time.Millisecond)
	h.mu.Lock()
	n := len(h.versions)
	h.versions = append(h.versions, v)
	if v != "" {
		h.index[v] = n
	}
	*ctx.Value(version{}).(*int) = n
	h.mu.Unlock()
	h.nap(5 * time.Millisecond)
}

func (h *history) load(context.Context, string) (string, error) {
	h.nap(5 * time.Millisecond)
	h.mu.Lock()
	if h.fails && h.rnd.IntN(4) == 0 {
		h.mu.Unlock()
		return "", errBroken
	}
	v := h.versions[len(h.versions)-1]
	h.mu.Unlock()
	h.nap(10 * time.Millisecond)
	if v == "" {
		return "", loader.ErrNotFound
	}
	return v, nil
}

// loadMany loads "k", and knows nothing of other keys.
func (h *history) loadMany(ctx context.Context, keys []string) (map[string]string, error) {
	found := map[string]string{}
	for _, key := range keys {
		if key != "k" {
			continue
		}
		v, err := h.load(ctx, key)
		if err == nil {
			found[key] = v
		} else if !errors.Is(err, loader.ErrNotFound) {
			return nil, err
		}
	}
	return found, nil
}

// getMulti gets "k" with keys that nobody else asks for, so that there is something to load.
func getMulti(ctx context.Context, l *loader.Loader[string], name string, i int) (string, error) {
	found, err := l.GetMulti(ctx, []string{"k", fmt.Sprint(name, i), fmt.Sprint(name, i, "b")})
	v, ok := found["k"]
	if err == nil && !ok {
		err = loader.ErrNotFound
	}
	var m *loader.MultiError
	if errors.As(err, &m) {
		if err = m.Errs["k"]; err == nil && !ok {
			err = loader.ErrNotFound
		}
	}
	return v, err
}

// newest returns the newest version that a reader who got (v, err) may have seen.
func (h *history) newest(v string) int {
	if v != "" {
		return h.index[v]
	}
	for i := len(h.versions) - 1; i >= 0; i-- {
		if h.versions[i] == "" {
			return i
		}
	}
	return -1
}

// run executes s in its bubble and returns what went wrong.
func (s schedule) run(t *testing.T) (wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{rnd: rand.New(rand.NewPCG(s.seed, 1)), versions: []string{"0"}, index: map[string]int{"0": 0}, fails: s.fails}
		c := fakecache.New(s.copies)
		if s.tier0 {
			c.SetTier0()
		}
		c.Step = func(string, int) error { h.nap(3 * time.Millisecond); return nil }
		var processes []*loader.Loader[string]
		for _, p := range s.policies {
			cfg := loader.Config[string]{
				Load: h.load, Codec: loader.String{}, Write: p, LeaseTTL: 2 * time.Second, TTL: s.ttl, Freshness: s.fresh,
				Store:  func(ctx context.Context, _, v string) error { h.commit(ctx, v); return nil },
				Remove: func(ctx context.Context, _ string) error { h.commit(ctx, ""); return nil },
			}
			if s.multi {
				cfg.LoadMany = h.loadMany
			}
			if s.noNeg {
				cfg.NegativeTTL = -1
			}
			l, err := loader.New(c, cfg)
			if err != nil {
				t.Fatal(err)
			}
			processes = append(processes, l)
		}
		var wg sync.WaitGroup
		for p, l := range processes {
			for a := range s.actors {
				wg.Go(func() { s.act(h, l, fmt.Sprintf("%d.%d", p, a)) })
			}
		}
		stop := make(chan struct{})
		var flapper sync.WaitGroup
		if s.flaps {
			flapper.Go(func() { h.flap(c, s.copies, stop) })
		}
		wg.Wait()
		close(stop)
		flapper.Wait()
		for _, l := range processes {
			_ = l.Close()
		}
		last := h.versions[len(h.versions)-1]
		for i := range s.copies {
			e, ok := c.Peek(i, "k")
			if !ok || e.Stub {
				continue
			}
			if got := string(e.Value[e.Value[3]:]); got != last {
				h.wrong = append(h.wrong, fmt.Sprintf("copy %d keeps %q, the origin has %q", i, got, last))
			}
		}
		wrong = h.wrong
	})
	return wrong
}

// flap takes copies down, all of them now and then, and brings them back.
func (h *history) flap(c *fakecache.Cache, copies int, stop chan struct{}) {
	for {
		for i := range copies {
			h.mu.Lock()
			down := h.rnd.IntN(2) == 0
			h.mu.Unlock()
			c.SetDown(i, down)
		}
		select {
		case <-stop:
			for i := range copies {
				c.SetDown(i, false)
			}
			return
		case <-time.After(7 * time.Millisecond):
		}
	}
}

// act is one caller: its reads must be no older than any write confirmed before them,
// its own included.
func (s schedule) act(h *history, l *loader.Loader[string], name string) {
	ctx := context.Background()
	for i := range s.ops {
		h.nap(8 * time.Millisecond)
		h.mu.Lock()
		write, del, leave := h.rnd.IntN(10) < s.writes, h.rnd.IntN(4) == 0, h.rnd.IntN(8) == 0
		floor := h.done
		h.mu.Unlock()
		if !write {
			gctx, cancel := context.WithCancel(ctx)
			if leave {
				gctx, cancel = context.WithTimeout(ctx, 4*time.Millisecond)
			}
			var v string
			var err error
			if s.multi && i%2 == 0 {
				v, err = getMulti(gctx, l, name, i)
			} else {
				v, err = l.Get(gctx, "k")
			}
			cancel()
			h.mu.Lock()
			switch {
			case errors.Is(err, context.DeadlineExceeded) && leave:
			case errors.Is(err, errBroken) && s.fails:
			case err != nil && !errors.Is(err, loader.ErrNotFound):
				h.wrong = append(h.wrong, name+": "+err.Error())
			case h.newest(v) < floor:
				h.wrong = append(h.wrong, fmt.Sprintf("%s read %q, version %d, after version %d was confirmed", name, v, h.newest(v), floor))
			}
			h.mu.Unlock()
			continue
		}
		v := name + "#" + strconv.Itoa(i)
		var err error
		n := 0
		if wctx := context.WithValue(ctx, version{}, &n); del {
			err = l.Delete(wctx, "k")
		} else {
			err = l.Put(wctx, "k", v)
		}
		h.mu.Lock()
		if err != nil {
			h.wrong = append(h.wrong, name+": "+err.Error())
		}
		h.done = max(h.done, n)
		h.mu.Unlock()
	}
}

// No read is older than what was confirmed before it, and no copy keeps an older value
// than the origin's, whatever the order of steps: consistency rules 2, 3 and 8.
func TestSchedules(t *testing.T) { schedules(t, func(*rapid.T, *schedule) {}) }

// Nor with values that are refreshed while they are read and written, that pass their time,
// and that are returned because a load failed.
func TestSchedulesWithRefreshes(t *testing.T) {
	schedules(t, func(rt *rapid.T, s *schedule) {
		s.ttl = rapid.SampledFrom([]time.Duration{time.Minute, 20 * time.Millisecond}).Draw(rt, "TTL")
		s.fresh.Soft = rapid.SampledFrom([]time.Duration{0, time.Millisecond}).Draw(rt, "soft")
		s.fresh.IfError = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(rt, "if error")
		s.fresh.Jitter = rapid.SampledFrom([]float64{0, 0.5}).Draw(rt, "jitter")
		s.fails = rapid.Bool().Draw(rt, "fails")
		s.tier0 = rapid.Bool().Draw(rt, "tier 0")
		s.multi = rapid.Bool().Draw(rt, "multi")
	})
}

func schedules(t *testing.T, more func(rt *rapid.T, s *schedule)) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := rapid.SampledFrom([]loader.WritePolicy{loader.WriteAround, loader.WriteThrough})
		s := schedule{
			copies:   rapid.IntRange(1, 3).Draw(rt, "copies"),
			policies: rapid.SliceOfN(policy, 1, 3).Draw(rt, "policies"),
			actors:   rapid.IntRange(1, 4).Draw(rt, "actors"),
			ops:      rapid.IntRange(1, 12).Draw(rt, "ops"),
			writes:   rapid.IntRange(1, 8).Draw(rt, "writes"),
			noNeg:    rapid.Bool().Draw(rt, "no negatives"),
		}
		// Loads without the cache are shared on trust, so with copies down only this
		// process's own writes are sure to be seen.
		s.flaps = len(s.policies) == 1 && rapid.Bool().Draw(rt, "flaps")
		more(rt, &s)
		first := rapid.Uint64().Draw(rt, "seed")
		for i := range scaled(10) {
			s.seed = first + uint64(i)
			if wrong := s.run(t); len(wrong) > 0 {
				rt.Fatalf("%v: %v", s, wrong)
			}
		}
	})
}
