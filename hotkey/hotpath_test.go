package hotkey

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// An access that finds its stripe busy is not counted and does not wait, is told the key's level all the same, and fifteen of
// sixteen accesses find another stripe.
func TestObserveWaitsForNobody(t *testing.T) {
	keys, hashes := keyNames(10_000)
	d := newDetector(t, Config{Seed: 1, Budget: -1}, 5)
	busy := &d.stripes[d.mixer.mix(hashes[0])>>60]
	for range 5000 {
		d.Observe(hashes[0], keys[0], 1)
	}
	require.True(t, busy.tryLock())
	before, counted := d.Stats().Counted, 0
	for i, h := range hashes {
		want := LevelCold
		if i == 0 {
			want = LevelHottest
		}
		require.Equal(t, want, d.Observe(h, keys[i], 1))
		require.Equal(t, want, d.Level(h, keys[i]))
		if &d.stripes[d.mixer.mix(h)>>60] != busy {
			counted++
		}
	}
	require.EqualValues(t, counted, d.Stats().Counted-before)
	require.InDelta(t, 15.0/16, float64(counted)/float64(len(keys)), 0.02)
	d.Elsewhere(hashes[0], keys[0], true)
	busy.unlock()
	d.Observe(hashes[0], keys[0], 1)
	require.EqualValues(t, counted+1, d.Stats().Counted-before)
}

// Of a key's cells only those at its minimum grow: a key that shares some with a busier one does not make that look busier still.
func TestSketchUpdatesConservatively(t *testing.T) {
	s := newSketch(4 << 10)
	busy := uint64(12345)
	shared := func(m uint64) (n int) {
		a, b := s.places(busy), s.places(m)
		for i := range a {
			if a[i] == b[i] {
				n++
			}
		}
		return n
	}
	for range 10 {
		s.add(busy)
	}
	found := 0
	for m := uint64(1); found < 20; m++ {
		if shared(m) == 0 || shared(m) == sketchRows {
			continue
		}
		found++
		s.add(m)
		for i, p := range s.places(busy) {
			require.EqualValues(t, 10, s.cells[p], "row %d", i)
		}
	}
}

// Where a key is counted only its detector knows: another seed puts it elsewhere, in the table and in the sketch, and what shares a set or a
// cell under one seed does not under another.
func TestTheSeedDecidesWhereKeysAre(t *testing.T) {
	_, hashes := keyNames(50_000)
	a, same, b := newDetector(t, Config{Seed: 1}, 5), newDetector(t, Config{Seed: 1}, 5), newDetector(t, Config{Seed: 2}, 5)
	set := func(d *Detector, h uint64) uint64 { return d.mixer.mix(h) >> d.shift }
	cell := func(d *Detector, h uint64) uint64 {
		m := d.mixer.mix(h)
		return d.stripes[m>>60].sketch.places(m)[0]
	}
	var inSet, inCell []uint64 // those that share with the first by seed 1
	for _, h := range hashes {
		require.Equal(t, set(a, h), set(same, h))
		if set(a, h) == set(a, hashes[0]) {
			inSet = append(inSet, h)
		}
		if cell(a, h) == cell(a, hashes[0]) {
			inCell = append(inCell, h)
		}
	}
	require.Greater(t, len(inSet), 100)
	require.Greater(t, len(inCell), 10)
	still := 0
	for _, h := range inSet {
		if set(b, h) == set(b, hashes[0]) {
			still++
		}
	}
	require.Less(t, still, len(inSet)/10)
	still = 0
	for _, h := range inCell {
		if cell(b, h) == cell(b, hashes[0]) {
			still++
		}
	}
	require.Less(t, still, 3, "the first itself, and one by chance")
}

// What a report says of a key: how often it is asked for, how many bytes that is, its level and since when.
func TestTopTellsRatesAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDetector(t, Config{Seed: 1, Budget: -1}, 5)
		keys, hashes := keyNames(1000)
		became := map[string]time.Time{}
		d.cfg.OnPromote = func(k string, _ Level) { became[k] = time.Now() }
		big := xxhash.Sum64String("big")
		for i := range 20_000 { // 10,000 a second, a tenth of them of values of 2,000 bytes, the others' have 100
			time.Sleep(100 * time.Microsecond)
			if i%10 == 0 {
				d.Observe(big, "big", 2000)
			} else {
				d.Observe(hashes[i%len(keys)], keys[i%len(keys)], 100)
			}
		}
		top := d.Top(1)[0]
		require.Equal(t, "big", top.Key)
		require.InEpsilon(t, 0.1, top.Share, 0.1)
		require.InEpsilon(t, 1000, top.PerSecond, 0.1)
		require.InEpsilon(t, 2_000_000, top.BytesPerSecond, 0.1)
		require.Equal(t, LevelHottest, top.Level)
		require.Equal(t, became["big"], top.Since)
		for range 500 { // the value is smaller now
			d.Observe(big, "big", 500)
		}
		top = d.Top(1)[0]
		require.InEpsilon(t, 500, top.BytesPerSecond/top.PerSecond, 0.02)
	})
}

// A read of the near-cache waits for nobody who writes, takes no memory, and, where an entry is read often, writes nothing.
func TestNearReadsAreFree(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour, Seed: 1})
	require.True(t, n.put("k", "v"))
	h, other := xxhash.Sum64String("k"), xxhash.Sum64String("other")
	n.mu.Lock()
	for i := range n.gens {
		n.gens[i].mu.Lock()
	}
	read := func() {
		v, ok := n.Get(h, "k")
		require.True(t, ok && string(v.Bytes) == "v")
		_, ok = n.Look(h, "k")
		require.True(t, ok)
		_, ok = n.Get(other, "other")
		require.False(t, ok)
		n.Recent(h, "k")
		n.Generation(h)
	}
	for range readsCounted {
		read()
	}
	e := n.table.Load().find(n.mixer.mix(h), "k")
	require.EqualValues(t, readsCounted, e.reads.Load())
	for range 1000 {
		read()
	}
	require.EqualValues(t, readsCounted, e.reads.Load())
	for i := range n.gens {
		n.gens[i].mu.Unlock()
	}
	n.mu.Unlock()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, ok := n.Get(h, "k"); !ok {
			t.Error("missed")
		}
		n.Look(h, "k")
		n.Get(other, "other")
	}))
}

// Where one access in so many is counted, ObserveAt counts as many, of every key, however regularly they come.
func TestObserveAtIsFair(t *testing.T) {
	if !fineClock {
		t.Skip("this system's clock is no coin")
	}
	synctest.Test(t, func(t *testing.T) { // time stands still, and so does the gate
		const keys, each, oneIn = 40, 4000, 32
		names, hashes := keyNames(keys)
		for _, step := range []time.Duration{1, 41, 64, 100, 128, 1000, 4096, 123_457, time.Millisecond} {
			d := newDetector(t, Config{Seed: 1}, 1)
			d.gate.Store(oneIn - 1)
			for i := range keys {
				before := d.Stats().Counted
				for j := range each {
					d.ObserveAt(hashes[i], names[i], 1, time.Duration(j)*step)
				}
				counted := d.Stats().Counted - before
				require.InDelta(t, each/oneIn, float64(counted), each/oneIn/2, "%s: each %s", names[i], step)
			}
			require.InEpsilon(t, keys*each/oneIn, float64(d.Stats().Counted), 0.05, "each %s", step)
			require.Equal(t, oneIn, d.Stats().SampleOneIn)
		}
		d := newDetector(t, Config{Seed: 1}, 1)
		for j := range each {
			d.ObserveAt(hashes[0], names[0], 1, time.Duration(j))
		}
		require.EqualValues(t, each, d.Stats().Counted, "all, as long as they are few")
		require.Equal(t, LevelHottest, d.Level(hashes[0], names[0]))
	})
}
