package loader

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader/internal/fakecache"
)

// Whatever enters, leaves, waits and gives up in any order: never more inside than the limit
// allows, who came first is first, nobody is forgotten, and all slots are free in the end.
func TestGateAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ceiling := rapid.IntRange(1, 5).Draw(rt, "ceiling")
		ops := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 60).Draw(rt, "ops")
		synctest.Test(t, func(t *testing.T) {
			g := newGate(ceiling, ceiling, time.Second, nil)
			type caller struct {
				cancel context.CancelFunc
				err    chan error
			}
			var waiting []caller // the model: in order of arrival
			inside := 0
			settle := func() {
				synctest.Wait()
				for inside < ceiling && len(waiting) > 0 {
					require.NoError(t, <-waiting[0].err, "the longest waiter's turn")
					waiting[0].cancel()
					waiting, inside = waiting[1:], inside+1
				}
				for _, w := range waiting {
					require.Empty(t, w.err, "nobody else's")
				}
			}
			for _, op := range ops {
				switch {
				case op <= 1:
					ctx, cancel := context.WithCancel(t.Context())
					w := caller{cancel, make(chan error, 1)}
					go func() { w.err <- g.enter(ctx) }()
					waiting = append(waiting, w)
				case op == 2:
					ok := g.tryEnter()
					require.Equal(t, inside < ceiling && len(waiting) == 0, ok)
					if ok {
						inside++
					}
				case op == 3 && inside > 0:
					g.leave(time.Millisecond, false)
					inside--
				case op == 4 && len(waiting) > 0:
					i := len(waiting) / 2
					waiting[i].cancel()
					require.ErrorIs(t, <-waiting[i].err, context.Canceled)
					waiting = append(waiting[:i:i], waiting[i+1:]...)
				}
				settle()
			}
			for _, w := range waiting {
				w.cancel()
			}
			synctest.Wait()
			for range inside {
				g.skip()
			}
			for range ceiling {
				require.True(t, g.tryEnter())
			}
			require.False(t, g.tryEnter())
		})
	})
}

// A turn that comes while its waiter gives up is not lost.
func TestGateTurnsAreNotLost(t *testing.T) {
	g := newGate(2, 2, time.Second, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(20))*time.Microsecond)
				if g.enter(ctx) == nil {
					g.leave(time.Microsecond, false)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	require.True(t, g.tryEnter())
	require.True(t, g.tryEnter())
	require.False(t, g.tryEnter())
	require.Zero(t, g.queue.Len())
}

// A failing origin brings the limit down to its floor, a good one up to its ceiling again; hung
// loads and slow ones count as failures.
func TestGateAdapts(t *testing.T) {
	for name, bad := range map[string]func(g *gate){
		"fails": func(g *gate) { g.leave(time.Millisecond, true) },
		"slow":  func(g *gate) { g.leave(40*time.Millisecond, false) },
		"hangs": func(g *gate) { g.hangs(); g.leave(time.Minute, true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []int
				g := newGate(4, 64, 30*time.Millisecond, func(from, to int) { require.NotEqual(t, from, to); told = append(told, to) })
				run := func(n int, leave func(g *gate)) {
					for range n {
						for g.tryEnter() {
							continue
						}
						time.Sleep(10 * time.Millisecond)
						for g.used > 0 {
							leave(g)
						}
					}
				}
				good := func(g *gate) { g.leave(10*time.Millisecond, false) }
				run(10, good)
				require.Equal(t, 64, g.now())
				run(10, bad)
				require.Equal(t, 44, g.now(), "one cut in 100 ms")
				run(100, bad)
				require.Equal(t, 4, g.now(), "the floor")
				run(200, good)
				require.Equal(t, 64, g.now(), "the ceiling")
				require.NotEmpty(t, told)
			})
		})
	}
	g := newGate(8, 8, 30*time.Millisecond, func(int, int) { t.Error("a fixed limit moved") })
	require.True(t, g.tryEnter())
	g.hangs()
	g.leave(time.Second, true)
	require.Equal(t, 8, g.now())
}

// An origin that bears 10 loads at once, and slows down and fails beyond, is not given many more, though
// 64 are allowed and 500 callers want one.
func TestGateFindsWhatTheOriginBears(t *testing.T) {
	for _, floor := range []int{2, 0} {
		synctest.Test(t, func(t *testing.T) {
			var inside, most, done atomic.Int64
			var last atomic.Bool
			l, err := New(fakecache.New(1), Config[int]{
				Origin: Origin{MinLoads: floor, SlowAfter: 60 * time.Millisecond},
				Load: func(context.Context, string) (int, error) {
					n := inside.Add(1)
					defer inside.Add(-1)
					if last.Load() {
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
							continue
						}
					}
					over := max(float64(n)/10, 1)
					time.Sleep(time.Duration(20 * float64(time.Millisecond) * math.Pow(over, 3)))
					done.Add(1)
					return 1, nil
				},
			})
			require.NoError(t, err)
			stop := make(chan struct{})
			for i := range 500 {
				go func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
							_, _ = l.Get(context.Background(), string(rune('a'+i%26))+string(rune('a'+i/26))+time.Duration(n).String())
						}
					}
				}()
			}
			time.Sleep(20 * time.Second)
			last.Store(true)
			before := done.Load()
			time.Sleep(20 * time.Second)
			t.Logf("floor %d: at most %d at once, %d loads a second (10 at once do 500)", floor, most.Load(), (done.Load()-before)/20)
			close(stop)
			require.NoError(t, l.Close())
			if floor > 0 {
				require.LessOrEqual(t, most.Load(), int64(25))
				require.GreaterOrEqual(t, (done.Load()-before)/20, int64(250))
			} else {
				require.EqualValues(t, 64, most.Load())
			}
		})
	}
}
