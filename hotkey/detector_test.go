package hotkey

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// A key that takes 1 % of the traffic from one moment on, at 100,000 requests a second: 4,500 requests are 45 ms.
func TestPromotesANewHotKeyWithinMilliseconds(t *testing.T) {
	const universe, every = 100_000, 100
	keys, hashes := keyNames(universe)
	hot, hotHash := "sudden", xxhash.Sum64String("sudden")
	var took []int
	for seed := uint64(1); seed <= uint64(scale(20)); seed++ {
		d := newDetector(t, Config{Seed: seed, Budget: -1}, 5)
		z := newZipf(universe, 0.99, seed)
		for range scale(900_000) {
			k := z.next()
			d.Observe(hashes[k], keys[k], 100)
		}
		for i := 0; ; i++ {
			if z.rng.IntN(every) != 0 {
				k := z.next()
				d.Observe(hashes[k], keys[k], 100)
			} else if d.Observe(hotHash, hot, 100) == LevelHottest {
				took = append(took, i)
				break
			}
			if i > 100_000 {
				t.Fatal("never promoted")
			}
		}
	}
	slices.Sort(took)
	p95 := took[len(took)*95/100]
	t.Logf("requests until promoted: median %d, p95 %d, max %d", took[len(took)/2], p95, took[len(took)-1])
	require.LessOrEqual(t, p95, 6000)
}

// Steady traffic must not promote what is not hot, nor throw out and take back what is.
func TestSteadyZipfPromotesNothingFalseAndDoesNotFlap(t *testing.T) {
	const universe = 300_000
	keys, hashes := keyNames(universe)
	rank := map[string]int{}
	for i, k := range keys {
		rank[k] = i
	}
	hottest, demoted, promoted := map[string]bool{}, 0, map[Level]int{}
	d := newDetector(t, Config{
		Seed: 5, Budget: -1,
		OnPromote: func(key string, l Level) {
			promoted[l]++
			if l == LevelHottest {
				hottest[key] = true
			}
		},
		OnDemote: func(string, Level) { demoted++ },
	}, 10)
	z := newZipf(universe, 0.99, 5)
	n := scale(2_500_000)
	for range n {
		k := z.next()
		d.Observe(hashes[k], keys[k], 100)
	}
	worst := 0
	for k := range hottest {
		worst = max(worst, rank[k])
	}
	t.Logf("%d hottest (worst true rank %d), promotions %v, demotions %d, %+v", len(hottest), worst, promoted, demoted, d.Stats())
	if n >= 1_000_000 { // before that not all of them have shown what they are
		require.GreaterOrEqual(t, len(hottest), 110)
	}
	require.Less(t, worst, 2*128, "a key of less than half the bar's share became hottest")
	require.Less(t, demoted, 100)
}

// A key that has just become hot has few accesses to show for some reviews: it does not sink on that account.
func TestWhatHasJustRisenDoesNotSink(t *testing.T) {
	keys, hashes := keyNames(50_000)
	for warm := 100_000; warm < 500_000; warm += 150_000 { // over a halving, and at several distances from the next review
		var told []Level
		tell := func(key string, l Level) {
			if key == "new" {
				told = append(told, l)
			}
		}
		d := newDetector(t, Config{Seed: 1, Budget: -1, OnPromote: tell, OnDemote: tell}, 10)
		z := newZipf(len(keys), 0.99, uint64(warm))
		for range warm {
			k := z.next()
			d.Observe(hashes[k], keys[k], 100)
		}
		for i := range 40_000 {
			if i%100 == 0 {
				d.Observe(hashOf("new"), "new", 100)
			}
			k := z.next()
			d.Observe(hashes[k], keys[k], 100)
		}
		require.NotEmpty(t, told)
		require.Equal(t, LevelHottest, told[len(told)-1])
		require.IsIncreasing(t, told)
		if warm > 100_000 {
			continue
		}
		for len(told) < 2 { // nor does it stay for that
			k := z.next()
			d.Observe(hashes[k], keys[k], 100)
		}
		require.Less(t, d.Stats().Counted, uint64(2_000_000))
	}
}

func TestUniformTrafficHasNoHotKeys(t *testing.T) {
	const universe = 300_000
	keys, hashes := keyNames(universe)
	d := newDetector(t, Config{Seed: 3, Budget: -1, OnPromote: func(string, Level) { t.Error("promoted") }}, 10)
	z := newZipf(universe, 0, 3)
	for range scale(1_000_000) {
		k := z.next()
		if l := d.Observe(hashes[k], keys[k], 10); l != LevelCold {
			t.Fatalf("%s is %v", keys[k], l)
		}
	}
}

// Where thousands of keys are equally warm, the levels keep their sizes.
func TestLevelsKeepTheirSizes(t *testing.T) {
	keys, hashes := keyNames(1500)
	d := newDetector(t, Config{Seed: 3, Budget: -1, HottestKeys: 128}, 10)
	z := newZipf(len(keys), 0, 3)
	for range scale(3_000_000) {
		k := z.next()
		d.Observe(hashes[k], keys[k], 10)
	}
	require.LessOrEqual(t, d.Stats().Hottest, 2*128, "%+v", d.Stats())
}

func TestDemotesWhatCools(t *testing.T) {
	keys, hashes := keyNames(20_000)
	var log []string
	d := newDetector(t, Config{
		Seed: 1, Budget: -1, Window: 1 << 14,
		OnPromote: func(k string, l Level) { log = append(log, fmt.Sprintf("%s up %v", k, l)) },
		OnDemote:  func(k string, l Level) { log = append(log, fmt.Sprintf("%s down %v", k, l)) },
	}, 10)
	h := xxhash.Sum64String("comet")
	z := newZipf(len(keys), 0, 1)
	for i := range 50_000 {
		k := z.next()
		d.Observe(hashes[k], keys[k], 1)
		if i%20 == 0 {
			d.Observe(h, "comet", 1)
		}
	}
	require.Equal(t, LevelHottest, d.Level(h, "comet"))
	top := d.Top(1)
	require.Equal(t, "comet", top[0].Key)
	require.InDelta(t, 1.0/21, top[0].Share, 0.01)
	require.False(t, top[0].Since.IsZero())
	for range 20 << 14 {
		k := z.next()
		d.Observe(hashes[k], keys[k], 1)
	}
	require.Equal(t, LevelCold, d.Level(h, "comet"))
	require.Contains(t, log[0], "comet up")
	require.Equal(t, "comet down cold", log[len(log)-1])
	require.Zero(t, d.Stats().Hottest)
}

// Callbacks run outside every lock: they may call whatever they like.
func TestCallbacksMayCallTheDetector(t *testing.T) {
	var d *Detector
	seen := 0
	d = newDetector(t, Config{Seed: 1, Budget: -1, OnPromote: func(key string, l Level) {
		seen++
		h := xxhash.Sum64String(key)
		require.Equal(t, l, d.Level(h, key))
		require.Equal(t, l, d.Observe(h, key, 1))
		require.NotEmpty(t, d.Top(1))
		d.SetNodes(7)
	}}, 5)
	h := xxhash.Sum64String("k")
	for range 1000 {
		d.Observe(h, "k", 1)
	}
	require.Positive(t, seen)
}

func TestSamplingFollowsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDetector(t, Config{Seed: 1, Budget: 100_000}, 5)
		keys, hashes := keyNames(1000)
		run := func(perMilli, millis int) {
			for i := range millis {
				time.Sleep(time.Millisecond)
				for j := range perMilli {
					k := (i*perMilli + j) % len(keys)
					d.Observe(hashes[k], keys[k], 10)
				}
			}
		}
		run(50, 300)
		require.Equal(t, 1, d.Stats().SampleOneIn, "under the budget every access is counted")
		require.InEpsilon(t, 50_000, d.Stats().PerSecond, 0.1)
		before := d.Stats().Counted
		run(3000, 300)
		require.Contains(t, []int{32, 64}, d.Stats().SampleOneIn, "3,000,000 a second on a budget of 100,000")
		require.InEpsilon(t, 3_000_000, d.Stats().PerSecond, 0.3)
		require.Less(t, d.Stats().Counted-before, uint64(60_000))
		run(50, 300)
		require.Equal(t, 1, d.Stats().SampleOneIn, "and again when it falls")
		time.Sleep(time.Hour)
		require.Less(t, d.Stats().PerSecond, 10.0, "an idle detector says so")
	})
}

// What was measured over seconds counts for itself: a burst minutes ago showed in the rate, for a second at a time.
func TestTheRateForgetsABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDetector(t, Config{}, 3)
		for i := range 100_000 {
			d.Observe(hashOf("k"), "k", 10)
			if i%100 == 99 {
				time.Sleep(time.Millisecond)
			}
		}
		require.InEpsilon(t, 100_000, d.Stats().PerSecond, 0.1)
		for i := range 1600 { // ten in a second
			time.Sleep(100 * time.Millisecond)
			d.Observe(hashOf("k"), "k", 10)
			if i >= 600 {
				require.InEpsilon(t, 10, d.Stats().PerSecond, 0.5)
				require.InEpsilon(t, 10, d.Top(1)[0].PerSecond, 0.5)
			}
		}
	})
}

// Run with -race: everything at once, and what is certain stays certain.
func TestDetectorFromManyGoroutines(t *testing.T) {
	keys, hashes := keyNames(5000)
	var mu sync.Mutex
	balance := map[string]int{}
	d := newDetector(t, Config{
		Window: 1 << 12, Budget: -1, HeavyBytes: 2 << 10, HotKeys: 40, HottestKeys: 20,
		OnPromote: func(k string, _ Level) { mu.Lock(); balance[k]++; mu.Unlock() },
		OnDemote:  func(k string, _ Level) { mu.Lock(); balance[k]--; mu.Unlock() },
	}, 5)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			z := newZipf(len(keys), 0.99, uint64(g+1))
			for i := range scale(100_000) {
				k := z.next()
				d.Observe(hashes[k], keys[k], i)
				if i%5000 == 0 {
					d.SetNodes(i%7 + 1)
					for _, h := range d.Top(10) {
						if h.Share < 0 || h.Share > 1 || h.Key == "" {
							t.Errorf("bad report %+v", h)
						}
					}
					d.Stats()
				}
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, balance)
	require.Equal(t, "user:0", d.Top(1)[0].Key)
}

func TestTopBounds(t *testing.T) {
	d := newDetector(t, Config{Seed: 1}, 1)
	require.Nil(t, d.Top(0))
	require.Nil(t, d.Top(-1))
	require.Empty(t, d.Top(5))
	d.Observe(1, "a", 1)
	d.Observe(1, "a", 1)
	require.Len(t, d.Top(5), 1)
}

// Two keys of one hash share a place; the second is nobody's double.
func TestKeysOfOneHashAreNotMixedUp(t *testing.T) {
	d := newDetector(t, Config{Seed: 1, Budget: -1}, 1)
	for range 500 {
		d.Observe(77, "real", 1)
	}
	count := d.Top(1)[0].Count
	for range 500 {
		require.Equal(t, LevelCold, d.Observe(77, "double", 1))
	}
	require.Equal(t, count, d.Top(1)[0].Count)
}

func TestObserveTakesNoMemory(t *testing.T) {
	keys, hashes := keyNames(100)
	d := newDetector(t, Config{Seed: 1, Budget: -1}, 5)
	for i := range 100_000 {
		d.Observe(hashes[i%100], keys[i%100], 1)
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(10_000, func() {
		d.Observe(hashes[i%100], keys[i%100], 1)
		i++
	}))
}
