package hotkey

import (
	"testing"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSketchNeverUnderestimates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSketch(256) // 32 cells a row: everything collides
		mx := newMixer(rapid.Uint64().Draw(t, "seed"))
		exact := map[uint64]uint32{}
		for _, k := range rapid.SliceOfN(rapid.Uint64Range(0, 400), 100, 600).Draw(t, "accesses") {
			m := mx.mix(k)
			switch {
			case k%97 == 96:
				exact[m] = max(exact[m], uint32(k)) // what the heavy table hands back
				s.raise(m, uint32(k))
			case k%101 == 100:
				for m := range exact {
					exact[m] >>= 1
				}
				s.halve(1)
			default:
				exact[m]++
				require.GreaterOrEqual(t, s.add(m), exact[m])
			}
		}
		for m, n := range exact {
			require.GreaterOrEqual(t, s.estimate(m), n)
		}
	})
}

func TestSketchSaturatesWithoutWrapping(t *testing.T) {
	s := newSketch(4 << 10)
	s.raise(1, 1<<20)
	require.EqualValues(t, cellMax, s.estimate(1))
	require.EqualValues(t, cellMax, s.add(1))
	require.EqualValues(t, cellMax, s.estimate(1))
}

// believed is what the detector holds for a key, wherever it holds it.
func (d *Detector) believed(hash uint64) uint32 {
	m := d.mixer.mix(hash)
	s := &d.stripes[m>>60]
	s.catchUp(d.epoch.Load())
	if at, _ := s.find(m); at >= 0 {
		return s.slots[at].count
	}
	return s.sketch.estimate(m)
}

// Table and sketch together never under-count either, however keys move between them.
func TestDetectorNeverUndercounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64Min(1).Draw(t, "seed")
		d, err := NewDetector(&Config{Seed: seed, HeavyBytes: 2 << 10, SketchBytes: 4 << 10, Budget: -1}, 3)
		require.NoError(t, err)
		universe := rapid.IntRange(10, 2000).Draw(t, "universe")
		keys, hashes := keyNames(universe)
		z := newZipf(universe, rapid.Float64Range(0, 1.5).Draw(t, "skew"), seed)
		exact := make([]uint32, universe)
		for range 5_000 {
			k := z.next()
			exact[k]++
			d.Observe(hashes[k], keys[k], 1)
		}
		for k, n := range exact {
			if b := d.believed(hashes[k]); b < n {
				t.Fatalf("%s: %d accesses, %d believed", keys[k], n, b)
			}
		}
	})
}

func TestSlotStaysSixteenBytes(t *testing.T) {
	require.EqualValues(t, slotBytes, unsafe.Sizeof(slot{})) // HeavyBytes is stated in these terms
	require.EqualValues(t, 60, unsafe.Sizeof(label{})+unsafe.Sizeof(tagSet{})/ways, "what Config.HeavyBytes says comes on top")
	keys, hashes := keyNames(1)
	d := newDetector(t, Config{HeavyBytes: 16 << 10, Seed: 1}, 3)
	d.Observe(hashes[0], keys[0], 1)
	slots := 0
	for i := range d.stripes {
		slots += len(d.stripes[i].slots)
	}
	require.Equal(t, 1024, slots)
	require.Equal(t, slots, d.Stats().Slots)
}

func TestBucketsKeepOrderWithinAnEighth(t *testing.T) {
	last := -1
	for _, n := range []uint32{0, 1, 7, 8, 15, 16, 17, 18, 100, 461, 1 << 20, 1<<32 - 1} {
		b := bucket(n)
		require.GreaterOrEqual(t, b, last)
		last = b
		require.LessOrEqual(t, bucketFloor(b), n)
		require.GreaterOrEqual(t, float64(bucketFloor(b))*1.125+1, float64(n))
	}
	require.Less(t, last, len(ageing{}.histo))
}

// An adversary who knows the code, the ring's hash and the sizes, but not the seed, picks a million keys that share one
// set, one fingerprint and one cell in every row of a sketch that is mixed with a seed he guessed. Here they spread
// as any keys do.
func TestCraftedKeysHaveNoEffectWithoutTheSeed(t *testing.T) {
	const victimSets = 4096
	guess := newMixer(12345)
	d := newDetector(t, Config{Budget: -1, Seed: 999}, 10)
	target := guess.mix(xxhash.Sum64String("victim"))
	aimed, observed := 0, scale(1_000_000)
	perSet := make([]int, len(d.tags))
	rng := uint64(1)
	for aimed < observed/16 {
		rng += 0x9e3779b97f4a7c15
		h := newMixer(1).mix(rng)                               // any 64-bit value can be the xxhash64 of some key
		if guess.mix(h)%victimSets>>6 != target%victimSets>>6 { // the 1 in 64 that the guess says collide
			continue
		}
		aimed++
		perSet[d.mixer.mix(h)>>d.shift]++
		if d.Observe(h, "crafted", 1<<20) != LevelCold {
			t.Fatal("a crafted key is hot")
		}
	}
	most := 0
	for _, n := range perSet {
		most = max(most, n)
	}
	mean := float64(aimed) / float64(len(perSet))
	require.Less(t, float64(most), 3*mean+30, "the crafted keys gather in one set")
	require.Zero(t, d.Stats().Hot+d.Stats().Hottest)
	// A key that really is hot is found as if nothing had happened.
	h, level := xxhash.Sum64String("victim"), LevelCold
	for range 4096 {
		if level = d.Observe(h, "victim", 1); level == LevelHottest {
			break
		}
	}
	require.Equal(t, LevelHottest, level)
}
