package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/sketches"
	"github.com/memherd/memherd/hotkey"
)

const (
	fCost1     = "ns of CPU an access, 1 goroutine"
	fCost2     = "ns of CPU an access, 2 goroutines"
	fCostAlloc = "allocations an access"
	fCostRate  = SampledOneIn
	fCostAll   = "ns of CPU an access, all counted"

	fRecall      = "recall"
	fRecallHK    = "recall of HeavyKeeper, same memory"
	fRecallCM    = "recall of count-min, same memory"
	fPromoted    = "promoted after, p95, ms"
	fPromotedMed = "promoted after, median, ms"
	fPromotedN   = "keys that were not promoted"

	fFalse     = "hottest of less than half the share of the last that should be"
	fFalseAll  = "the same, all counted"
	fSunk      = "demotions, all counted"
	fHostile   = "hostile keys that became hottest"
	fHostileOf = "hottest keys"
	fHonest    = "points of honest reads at the hottest level lost"
)

// SampledOneIn is the figure that says how accesses were sampled while a scenario's others were measured.
const SampledOneIn = "sampled, one in"

// hotNodes is the size of the fleet where the levels' sizes derive from it.
const hotNodes = 10

// hotZipf is the law of the traffic unless a scenario has others.
const hotZipf = 0.99

// detecting are the scenarios of the detector alone.
func detecting() []Scenario {
	return []Scenario{
		{Name: "cost", Title: "what detection costs on the get path, at full speed, Zipf 0.99",
			Figures: []Figure{{Name: fCost1, Format: "%.1f", Bound: most(15), Aim: most(10)}, {Name: fCost2, Format: "%.1f", Bound: most(15), Aim: most(10)}, {Name: fCostAlloc, Format: "%.5f", Bound: most(0.001)},
				{Name: fCostRate, Format: "%.0f"}, {Name: fCostAll, Format: "%.1f"}},
			play: (*run).cost},
		{Name: "recall", Title: "recall of the most read keys of a million of Zipf 0.99, 16 KiB of table and 64 KiB of sketch",
			Figures: []Figure{{Name: fRecall, Format: "%.3f", Bound: least(0.97), Aim: least(0.99)}, {Name: fRecallHK, Format: "%.3f"}, {Name: fRecallCM, Format: "%.3f"}, {Name: fCostRate, Format: "%.0f"}},
			play:    (*run).recall},
		{Name: "promote", Title: "a key becomes 1 % of 100,000 requests a second of Zipf 0.99", Once: true,
			Figures: []Figure{{Name: fPromoted, Format: "%.1f", Bound: most(60), Aim: most(45)}, {Name: fPromotedMed, Format: "%.1f"}, {Name: fPromotedN, Format: "%.0f", Bound: most(0)}, {Name: fCostRate, Format: "%.0f"}},
			play:    (*run).promote},
		{Name: "steady-zipf", Title: "nothing false is promoted by steady requests of Zipf 0.99",
			Figures: []Figure{{Name: fFalse, Format: "%.0f", Bound: most(0)}, {Name: fCostRate, Format: "%.0f"}, {Name: fFalseAll, Format: "%.0f", Bound: most(0)}, {Name: fSunk, Format: "%.0f"}},
			play:    (*run).steadyZipf},
		{Name: "adversary", Title: "half of the requests come from somebody who knows the algorithm and not the seed",
			Figures: []Figure{{Name: fHostile, Format: "%.0f", Bound: most(128)}, {Name: fHostileOf, Format: "%.0f"}, {Name: fHonest, Format: "%.2f", Bound: most(5)}, {Name: fCostRate, Format: "%.0f"}},
			play:    (*run).adversary},
	}
}

// shown is an access that was drawn beforehand, in the order of use.
type shown struct {
	hash uint64
	name string
}

func (r *run) cost() error {
	s, err := newStream(r.Hot.Universe, hotZipf)
	if err != nil {
		return err
	}
	rng, picks := rand.New(rand.NewPCG(r.seed, 1)), make([]shown, 1<<16)
	for i := range picks {
		k := s.law.Next(rng)
		picks[i] = shown{s.hashes[k], s.names[k]}
	}
	// The loop is the same with and without the call.
	loop := func(d *hotkey.Detector) (sum int) {
		for i := range r.Hot.Accesses {
			p := &picks[i&(len(picks)-1)]
			if d != nil {
				sum += int(d.Observe(p.hash, p.name, valueSize))
			} else {
				sum += int(p.hash & 1)
			}
		}
		return sum
	}
	// In CPU time, so that what else the machine does is not in it.
	timed := func(d *hotkey.Detector, goroutines int) float64 {
		began := cputime.Self()
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() { loop(d) })
		}
		wg.Wait()
		return float64((cputime.Self() - began).Nanoseconds()) / float64(r.Hot.Accesses*goroutines)
	}
	d, err := r.detector(hotkey.Config{}, hotNodes, 0)
	if err != nil {
		return err
	}
	all, err := r.detector(hotkey.Config{Budget: -1}, hotNodes, 0)
	if err != nil {
		return err
	}
	timed(d, 1) // the sampling rate is found, the residents have their keys
	timed(all, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	timed(d, 2)
	runtime.ReadMemStats(&after)
	var one, two, counted []float64
	for range r.Hot.Rounds {
		empty1, empty2 := timed(nil, 1), timed(nil, 2)
		one = append(one, timed(d, 1)-empty1)
		two = append(two, timed(d, 2)-empty2)
		counted = append(counted, timed(all, 1)-empty1)
	}
	r.put(fCost1, medianOf(one))
	r.put(fCost2, medianOf(two))
	r.put(fCostAll, medianOf(counted))
	r.put(fCostAlloc, float64(after.Mallocs-before.Mallocs)/float64(2*r.Hot.Accesses))
	r.put(fCostRate, float64(d.Stats().SampleOneIn))
	return nil
}

func medianOf(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (r *run) recall() error {
	s, err := newStream(r.Hot.Universe, hotZipf)
	if err != nil {
		return err
	}
	const table, sketch = 16 << 10, 64 << 10
	d, err := r.detector(hotkey.Config{HeavyBytes: table, SketchBytes: sketch, Budget: -1}, hotNodes, 0)
	if err != nil {
		return err
	}
	// The others keep their largest keys in a heap, for which they are given nothing off.
	hk, cm := sketches.NewHeavyKeeper(table+sketch, r.Hot.Top, r.seed), sketches.NewCountMin(table+sketch, r.Hot.Top, r.seed)
	rng, exact := rand.New(rand.NewPCG(r.seed, 2)), make([]int, r.Hot.Universe)
	for range r.Hot.Requests {
		k, _ := s.show(d, rng)
		exact[k]++
		hk.Add(s.hashes[k])
		cm.Add(s.hashes[k])
	}
	// A key that ties with the last is as right an answer.
	sorted := slices.Sorted(slices.Values(exact))
	limit := sorted[len(sorted)-r.Hot.Top]
	true1, true2 := map[string]bool{}, map[uint64]bool{}
	for k, n := range exact {
		if n >= limit {
			true1[s.names[k]], true2[s.hashes[k]] = true, true
		}
	}
	found := 0
	for _, h := range d.Top(r.Hot.Top) {
		if true1[h.Key] {
			found++
		}
	}
	r.put(fRecall, float64(found)/float64(r.Hot.Top))
	r.put(fCostRate, float64(d.Stats().SampleOneIn))
	for name, got := range map[string][]sketches.Counted{fRecallHK: hk.Keys(), fRecallCM: cm.Keys()} {
		found = 0
		for _, c := range got {
			if true2[c.Key] {
				found++
			}
		}
		r.put(name, float64(found)/float64(r.Hot.Top))
	}
	return nil
}

// promoteRate is requests a second.
const promoteRate = 100_000

// promote keeps to the wall clock: what the machine takes for other work is in its figures.
func (r *run) promote() error {
	s, err := newStream(r.Hot.Universe, hotZipf)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(r.seed, 3))
	var took []float64
	missed, rate := 0, 0
	for herd := range r.Hot.Herds {
		d, err := r.detector(hotkey.Config{}, hotNodes, uint64(herd))
		if err != nil {
			return err
		}
		// pace shows reads of the law as they are due, one in a hundred of key if there is one, until that is
		// among the hottest or d has passed.
		pace := func(key string, hash uint64, lasts time.Duration) (time.Duration, bool) {
			began, sent := time.Now(), 0
			for {
				gone := time.Since(began)
				if gone >= lasts {
					return gone, false
				}
				for due := int(gone.Seconds() * promoteRate); sent < due; sent++ {
					if key == "" || rng.IntN(100) != 0 {
						s.show(d, rng)
					} else if d.Observe(hash, key, valueSize) == hotkey.LevelHottest {
						return time.Since(began), true
					}
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
		pace("", 0, r.Hot.Warm)
		for n := range r.Hot.Trials {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			name := fmt.Sprint("sudden:", herd, ":", n)
			hash, err := hashesOf([]string{name})
			if err != nil {
				return err
			}
			if t, ok := pace(name, hash[0], time.Second); ok {
				took = append(took, ms(t))
			} else {
				missed++
			}
			pace("", 0, 20*time.Millisecond)
		}
		rate = max(rate, d.Stats().SampleOneIn)
	}
	slices.Sort(took)
	r.put(fPromotedN, float64(missed))
	r.put(fCostRate, float64(rate))
	if len(took) > 0 {
		r.put(fPromoted, took[(len(took)-1)*95/100])
		r.put(fPromotedMed, took[len(took)/2])
	}
	return nil
}

func (r *run) steadyZipf() error {
	s, err := newStream(r.Hot.Universe, hotZipf)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		budget     int
		wrong, num string
	}{{0, fFalse, fCostRate}, {-1, fFalseAll, fSunk}} {
		var d *hotkey.Detector
		sunk, hottest := 0, map[string]bool{}
		d, err = r.detector(hotkey.Config{Budget: c.budget, OnDemote: func(string, hotkey.Level) { sunk++ },
			OnPromote: func(key string, l hotkey.Level) {
				if l == hotkey.LevelHottest {
					hottest[key] = true
				}
			}}, hotNodes, 0)
		if err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(r.seed, 4))
		for range r.Hot.Steady {
			s.show(d, rng)
		}
		// The law's shares halve with the rank, so nearly, and key i has rank i.
		wrong, limit := 0, 2*hottestOf(hotNodes)
		for i := limit; i < len(s.names); i++ {
			if hottest[s.names[i]] {
				wrong++
			}
		}
		r.put(c.wrong, float64(wrong))
		if c.num == fSunk {
			r.put(c.num, float64(sunk))
		} else {
			r.put(c.num, float64(d.Stats().SampleOneIn))
		}
	}
	return nil
}

// hottestOf is how many keys the hottest level is meant for: see hotkey.Config.HottestKeys.
func hottestOf(nodes int) int {
	return max(128, int(math.Ceil(float64(nodes)*math.Log(float64(nodes)))))
}

// adversary asks for keys as often as all honest callers together: for 20,000 that he has picked so that
// without a seed, with the hash that all clients place keys by, they would crowd one sixteenth of the table and of the sketch.
func (r *run) adversary() error {
	s, err := newStream(r.Hot.Universe, hotZipf)
	if err != nil {
		return err
	}
	var names []string
	for n := 0; len(names) < 20_000; n += 1 << 16 {
		batch := make([]string, 1<<16)
		for i := range batch {
			batch[i] = fmt.Sprint("hostile:", n+i)
		}
		hashes, err := hashesOf(batch)
		if err != nil {
			return err
		}
		for i, h := range hashes {
			if h>>60 == 3 && len(names) < 20_000 {
				names = append(names, batch[i])
			}
		}
	}
	hashes, err := hashesOf(names)
	if err != nil {
		return err
	}
	var share [2]float64
	for attacked := range 2 {
		hostile, all := map[string]bool{}, 0
		d, err := r.detector(hotkey.Config{Budget: -1, OnPromote: func(key string, l hotkey.Level) {
			if l == hotkey.LevelHottest {
				all++
				if len(key) > 8 && key[:8] == "hostile:" {
					hostile[key] = true
				}
			}
		}}, hotNodes, 0)
		if err != nil {
			return err
		}
		rng, served := rand.New(rand.NewPCG(r.seed, 5)), 0
		for i := range r.Hot.Hostile {
			if _, l := s.show(d, rng); l == hotkey.LevelHottest {
				served++
			}
			if attacked == 1 {
				d.Observe(hashes[i%len(hashes)], names[i%len(hashes)], valueSize)
			}
		}
		share[attacked] = percent(int64(served), int64(r.Hot.Hostile))
		if attacked == 1 {
			r.put(fHostile, float64(len(hostile)))
			r.put(fHostileOf, float64(all))
			r.put(fCostRate, float64(d.Stats().SampleOneIn))
		}
	}
	r.put(fHonest, share[0]-share[1])
	return nil
}
