package ring

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// namings are ways in which fleets are named in practice; near-identical names are
// the hard case for a weak hash.
var namings = []func(fleet, i int) string{
	func(f, i int) string { return fmt.Sprintf("10.%d.%d.%d:11211", f, i/250, i%250+1) },
	func(f, i int) string { return fmt.Sprintf("127.0.0.1:%d", 20000+f*1000+i) },
	func(f, i int) string { return fmt.Sprintf("memcached-%d.cache%d.svc.cluster.local", i, f) },
	func(f, i int) string { return fmt.Sprintf("c%d-%03d", f, i) },
}

func namedFleet(fleet, n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i].Addr = namings[fleet%len(namings)](fleet, i)
	}
	return nodes
}

// spread returns the largest share as a multiple of the mean, and the largest part of
// any dead node's slots that one heir takes, as a multiple of its fair part.
func spread(t testing.TB, nodes []Node) (share, heir float64) {
	r, err := New(Config{Nodes: nodes, Copies: 2})
	require.NoError(t, err)
	n := len(nodes)
	owned := make([]int, n)
	heirs := make([]int, n*n)
	for i := 0; i < len(r.table); i += 2 {
		owned[r.table[i]]++
		heirs[int(r.table[i])*n+int(r.table[i+1])]++
	}
	for i, o := range owned {
		share = max(share, float64(o)*float64(n)/slotCount)
		for _, h := range heirs[i*n : i*n+n] {
			heir = max(heir, float64(h)*float64(n-1)/float64(o))
		}
	}
	return share, heir
}

// TestSpread checks, over 20 fleets, that no node has much more than its share and
// that whichever node dies, no heir gets much more than its fair part.
func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		nodes, fleets int
		share, heir   float64
	}{
		{10, 20, 1.015, 1.05},
		{100, 20, 1.07, 1.5},
	} {
		t.Run(fmt.Sprint(tc.nodes), func(t *testing.T) {
			var share, heir float64
			for f := range scaled(tc.fleets) {
				s, h := spread(t, namedFleet(f, tc.nodes))
				share, heir = max(share, s), max(heir, h)
			}
			t.Logf("worst share %.4f of the mean, worst heir %.4f of its fair part", share, heir)
			require.LessOrEqual(t, share, tc.share)
			require.LessOrEqual(t, heir, tc.heir)
		})
	}
}

// TestOrdersAreEvenlySpread: every order in which three of ten nodes can stand in a list
// is as frequent as every other, by a chi-square test over all of them.
func TestOrdersAreEvenlySpread(t *testing.T) {
	const n, orders = 10, 10 * 9 * 8
	for f := range scaled(8) {
		r := mustNew(t, Config{Nodes: namedFleet(f, n), Copies: 3})
		var count [n * n * n]int
		for i := 0; i < len(r.table); i += 3 {
			count[int(r.table[i])*n*n+int(r.table[i+1])*n+int(r.table[i+2])]++
		}
		mean, chi2, seen := float64(slotCount)/orders, 0.0, 0
		for _, c := range count {
			if c > 0 {
				chi2 += (float64(c) - mean) * (float64(c) - mean) / mean
				seen++
			}
		}
		require.Equal(t, orders, seen)
		// The mean of chi² is its degrees of freedom, its deviation 38 here.
		require.InDelta(t, orders-1, chi2, 4*38, "fleet %d", f)
	}
}

// BenchmarkSpread1000 reports the worst share among 1,000 nodes over 20 fleets,
// which takes too long for a test.
func BenchmarkSpread1000(b *testing.B) {
	for b.Loop() {
		var worst float64
		for f := range 20 {
			s, _ := spread(b, namedFleet(f, 1000))
			worst = max(worst, s)
		}
		b.ReportMetric(worst, "share/mean")
	}
}
