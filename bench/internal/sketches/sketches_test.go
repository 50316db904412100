package sketches

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TopK against all that it was told of, sorted.
func TestTopKAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 8).Draw(t, "k")
		top, counts := NewTopK(k), map[uint64]uint32{}
		for _, key := range rapid.SliceOf(rapid.Uint64Range(0, 12)).Draw(t, "keys") {
			counts[key]++ // counts only rise, as those of a sketch do
			top.Offer(key, counts[key])
		}
		all := slices.SortedFunc(maps.Values(counts), func(a, b uint32) int { return cmp.Compare(b, a) })
		got := top.Keys()
		if len(got) != min(k, len(all)) {
			t.Fatalf("%d kept of %d", len(got), len(all))
		}
		for i, c := range got {
			// Of keys with equal counts any may be kept.
			if c.Count != counts[c.Key] || c.Count != all[i] || !top.Holds(c.Key) {
				t.Fatalf("%v, counted %v", got, counts)
			}
		}
	})
}

// With room for every key both count exactly, up to what cells in common add or take away.
func TestSketchesFindThePlainlyLargest(t *testing.T) {
	cm, hk := NewCountMin(64<<10, 5, 1), NewHeavyKeeper(64<<10, 5, 1)
	for round := range uint64(200) {
		for key := range uint64(40) {
			if key < 5 || round < key {
				for range 1 + (5-min(key, 5))*2 {
					cm.Add(key * 77)
					hk.Add(key * 77)
				}
			}
		}
	}
	var want []uint64
	for key := range uint64(5) {
		want = append(want, key*77)
	}
	for name, got := range map[string][]Counted{"count-min": cm.Keys(), "HeavyKeeper": hk.Keys()} {
		var keys []uint64
		for _, c := range got {
			keys = append(keys, c.Key)
		}
		require.Equal(t, want, keys, name)
		require.InDelta(t, 200*11, got[0].Count, 2, name)
	}
}

// Count-min never under-counts, HeavyKeeper never over-counts while fingerprints are told apart.
func TestWhichWayTheyErr(t *testing.T) {
	cm, hk := NewCountMin(1<<10, 10, 1), NewHeavyKeeper(1<<10, 10, 1)
	exact := map[uint64]uint32{}
	for i := range uint64(20_000) {
		key := i * i % 997
		exact[key]++
		cm.Add(key)
		hk.Add(key)
	}
	for _, c := range cm.Keys() {
		require.GreaterOrEqual(t, c.Count, exact[c.Key])
	}
	for _, c := range hk.Keys() {
		require.LessOrEqual(t, c.Count, exact[c.Key])
	}
}
