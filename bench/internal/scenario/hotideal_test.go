package scenario

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/ring"
)

// Sharing a key's reads out moves them and nothing else, and never loads the busiest of its nodes more.
func TestEvenSharesOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "nodes")
		load := rapid.SliceOfN(rapid.Float64Range(0, 100), n, n).Draw(t, "load")
		order := rapid.Permutation(slices.Collect(func(yield func(uint16) bool) {
			for i := range n {
				if !yield(uint16(i)) {
					return
				}
			}
		})).Draw(t, "copies")
		f := flexible{copies: order[:rapid.IntRange(2, n).Draw(t, "r")]}
		for _, c := range f.copies {
			share := rapid.Float64Range(0, 50).Draw(t, "share")
			f.share = append(f.share, share)
			load[c] += share
		}
		sum := func(v []float64) (s float64) {
			for _, x := range v {
				s += x
			}
			return s
		}
		loads, reads, most := sum(load), sum(f.share), slices.Max(load)
		fixed := slices.Clone(load)
		for i, c := range f.copies {
			fixed[c] -= f.share[i]
		}
		f.even(load)
		require.InDelta(t, loads, sum(load), 1e-6)
		require.InDelta(t, reads, sum(f.share), 1e-6)
		require.LessOrEqual(t, slices.Max(load), most+1e-9)
		for i, c := range f.copies {
			require.GreaterOrEqual(t, f.share[i], -1e-9)
			require.InDelta(t, fixed[c]+f.share[i], load[c], 1e-6)
		}
	})
}

// What clients come to at best is no worse than what the simulated ones do, and not below even.
func TestIdealIsABound(t *testing.T) {
	var nodes []ring.Node
	for i := range 10 {
		nodes = append(nodes, ring.Node{Name: name(i), Addr: fmt.Sprintf("node%d:1", i)})
	}
	rg, err := ring.New(ring.Config{Nodes: nodes, Copies: 2})
	require.NoError(t, err)
	for _, z := range []float64{0.99, 1.4} {
		s, err := newStream(20_000, z)
		require.NoError(t, err)
		best := bestBalance(rg, s, len(nodes), promoteRate)
		require.GreaterOrEqual(t, best, 1-1e-9)
		plain := make([]float64, len(nodes))
		for k, h := range s.hashes {
			plain[rg.LookupHash(h)[0]] += s.law.P(k)
		}
		require.Less(t, best, uneven(plain))
		require.Less(t, evenness(rg, s), 1.2)
	}
}

// A key that is read too seldom to gain by memory costs its owner all of its reads, one that is read all the time a request an
// interval of renewal.
func TestNearRate(t *testing.T) {
	require.InDelta(t, 0.1, nearRate(0.1), 0.001)
	require.InDelta(t, 10, nearRate(20), 1e-9)
	require.InDelta(t, 1/(0.75*simX.Seconds()), nearRate(1e6), 1e-9)
}
