package client

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/ring"
)

// afterChanges is a fleet of ten nodes, each key on two, that has changed some times: a node came, or left, by turns. The
// lists before the newest are in their window, or over and remembered for what the nodes that stay keep.
func afterChanges(t testing.TB, changes int, over bool) *topology {
	var c Client
	c.cfg.ReplicationFactor, c.cfg.ConnsPerNode = 2, 1
	var known []*node
	var lists []*placement
	for i := range changes + 1 {
		var nodes []ring.Node
		for j := range 10 + i%2 {
			nodes = append(nodes, ring.Node{Name: fmt.Sprint("node", j), Addr: fmt.Sprint("node", j, ":1")})
		}
		p, err := c.newPlacement(nodes, known)
		require.NoError(t, err)
		known = append(known, p.nodes...)
		lists = append(lists, p)
	}
	top := &topology{placement: lists[changes], since: time.Now()}
	for _, p := range lists[:changes] {
		top.past = append(top.past, past{placement: p, told: !over, source: !over, left: over})
	}
	top.gather()
	return top
}

// BenchmarkAfterChanges is what a write spends on looking where else its key may be.
func BenchmarkAfterChanges(b *testing.B) {
	for _, changes := range []int{0, 1, 8, 32} {
		for _, over := range []bool{false, true} {
			top := afterChanges(b, changes, over)
			hashes := make([]uint64, 1<<12)
			for i := range hashes {
				hashes[i] = rand.Uint64()
			}
			b.Run(fmt.Sprint("changes=", changes, "/over=", over), func(b *testing.B) {
				b.ReportAllocs()
				var mem [2 * maxCopies]*node
				var groups [4][]*node
				for i := 0; b.Loop(); i++ {
					hash := hashes[i%len(hashes)]
					top.strays(hash)
					top.returned(hash)
					top.stages(hash, mem[:0], groups[:0])
				}
			})
		}
	}
}

// A key that no change has touched costs a write no memory, however many lists are remembered.
func TestUntouchedKeysCostNothing(t *testing.T) {
	top := afterChanges(t, 5, false)
	var mem [2 * maxCopies]*node
	var groups [4][]*node
	untouched := 0
	for range 1000 {
		hash := rand.Uint64()
		if slices.ContainsFunc(top.past, func(p past) bool { return !slices.Equal(p.copies(hash, nil), top.copies(hash, nil)) }) {
			continue
		}
		untouched++
		require.Zero(t, testing.AllocsPerRun(10, func() {
			top.strays(hash)
			top.returned(hash)
			top.stages(hash, mem[:0], groups[:0])
		}))
	}
	require.NotZero(t, untouched)
}
