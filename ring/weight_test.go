package ring

import (
	"math"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCost compares the fixed-point logarithm with the floating-point one, where u is
// above one half by way of 1-u, which stays exact there.
func TestCost(t *testing.T) {
	logs := newLogTable()
	require.Equal(t, uint64(0), logs[0])
	require.InEpsilon(t, math.Log2(1.5), float64(logs[512])/(1<<costBits), 1e-15)
	rapid.Check(t, func(t *rapid.T) {
		h := rapid.Uint64().Draw(t, "hash")
		if rapid.Bool().Draw(t, "near the top") {
			h = ^(h >> rapid.IntRange(1, 60).Draw(t, "shift"))
		}
		d := float64(^h) / (1 << 64) // 1-u
		want := -math.Log1p(-d) / math.Ln2
		if h < 1<<63 {
			want = 64 - math.Log2(float64(h)+1)
		}
		got := float64(logs.cost(h)) / (1 << costBits)
		resolution := 2.0 / (1 << costBits)
		require.InDelta(t, want, got, want*3e-4+resolution)
		require.LessOrEqual(t, minCost(h), logs.cost(h))
		if h > 0 {
			require.GreaterOrEqual(t, logs.cost(h-1), logs.cost(h))
		}
	})
	for _, h := range []uint64{0, 1, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64} {
		require.LessOrEqual(t, minCost(h), logs.cost(h), "%x", h)
	}
	require.Equal(t, uint64(64)<<costBits, logs.cost(0))
	require.Equal(t, uint64(0), logs.cost(math.MaxUint64))
	require.Equal(t, uint64(1)<<costBits, logs.cost(1<<63-1))
}

// TestCandidateOrder: before is a strict total order, whatever the ties.
func TestCandidateOrder(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) candidate {
		return candidate{
			hash:   rapid.Uint64Range(0, 2).Draw(t, "hash"),
			cost:   rapid.SampledFrom([]uint64{0, 1, 2, 4, 64 << costBits}).Draw(t, "cost"),
			weight: rapid.SampledFrom([]uint32{1, 2, 4, MaxWeight}).Draw(t, "weight"),
			node:   rapid.Uint16().Draw(t, "node"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		require.False(t, a.before(&a))
		if a.node != b.node {
			require.NotEqual(t, a.before(&b), b.before(&a))
		}
		if a.before(&b) && b.before(&c) {
			require.True(t, a.before(&c))
		}
	})
}

// TestWeightedShares: shares are proportional to weights, from equal to lopsided.
func TestWeightedShares(t *testing.T) {
	for _, tc := range []struct {
		placement Placement
		within    float64 // of the ideal share
	}{{Rendezvous, 0.02}, {Classic, 0.25}} {
		nodes := namedFleet(0, 6)
		total := 0.0
		for i, w := range []int{1, 2, 3, 10, 50, 100} {
			nodes[i].Weight = w
			total += float64(w)
		}
		r := mustNew(t, Config{Nodes: nodes, Placement: tc.placement})
		sum := 0.0
		for i, share := range r.Shares() {
			ideal := float64(r.Node(uint16(i)).Weight) / total
			require.InEpsilon(t, ideal, share, tc.within, "%v, weight %d", tc.placement, r.Node(uint16(i)).Weight)
			sum += share
		}
		require.InDelta(t, 1, sum, 1e-12)
	}
}

// TestExtremeWeights: the largest weights neither overflow nor crowd each other out.
func TestExtremeWeights(t *testing.T) {
	nodes := namedFleet(1, 4)
	nodes[0].Weight, nodes[1].Weight, nodes[2].Weight = MaxWeight, MaxWeight, MaxWeight/2
	shares := mustNew(t, Config{Nodes: nodes, Copies: 2}).Shares()
	require.InDelta(t, 0.4, shares[0], 0.005)
	require.InDelta(t, 0.4, shares[1], 0.005)
	require.InDelta(t, 0.2, shares[2], 0.005)
	require.InDelta(t, 0, shares[3], 1e-4)
}

// TestLeastScore: no score below it is within the limit, and the next is.
func TestLeastScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64Range(1, 1<<rapid.IntRange(1, 63).Draw(t, "bits")).Draw(t, "limit")
		weight := rapid.Uint64Range(1, MaxWeight).Draw(t, "weight")
		within := func(h uint64) bool {
			hi, lo := bits.Mul64(limit, weight)
			return hi != 0 || minCost(h) <= lo
		}
		least := leastScore(limit, weight)
		require.True(t, within(least))
		if least > 0 {
			require.False(t, within(least-1))
		}
	})
}
