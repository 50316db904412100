package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-fleets", "0"}, {"-no-such-flag"}, {"word"}} {
		var out, stderr bytes.Buffer
		require.Equal(t, 2, run(args, &out, &stderr))
		require.NotEmpty(t, stderr.String())
		require.Empty(t, out.String())
	}
}

// TestRivals: everybody places keys on the nodes it was given and gives the lists it
// is said to give.
func TestRivals(t *testing.T) {
	nodes := fleet(2, 10)
	all := map[string]placed{}
	for _, r := range rivals {
		p := r.build(nodes)
		all[r.name] = p
		want := 1
		if r.gives == "list of 3" {
			want = 3
		}
		require.Equal(t, want, p.list("user:42"), r.name)
	}
	for name, p := range all {
		owners := make(map[string]bool)
		for _, key := range sample(2000) {
			owners[p.owner(key)] = true
			require.Contains(t, nodes, p.owner(key), name)
			if s, ok := p.(seconder); ok {
				require.Contains(t, nodes, s.second(key), name)
				require.NotEqual(t, p.owner(key), s.second(key), name)
			}
		}
		require.Greater(t, len(owners), 5, name)
	}
}

// TestCompare: the comparison sees what a change other than a join moves.
func TestCompare(t *testing.T) {
	names := fleet(0, 6)
	small := buildOurs(ring.Rendezvous, 3, names[:5])
	moved, besides := compare(small, buildOurs(ring.Rendezvous, 3, names), names[5])
	require.InDelta(t, 1.0/6, moved, 0.01)
	require.Zero(t, besides)
	_, besides = compare(small, buildOurs(ring.Classic, 3, names), names[5])
	require.Greater(t, besides, 0.5)
}

func TestWorstHeir(t *testing.T) {
	require.InDelta(t, 1.5, worstHeir([]int{8, 4, 0}, []int{0, 6, 2, 2, 0, 2, 0, 0, 0}), 1e-9)
}

func TestVerdict(t *testing.T) {
	require.Equal(t, "8 met", verdict(7.5, 8))
	require.True(t, strings.HasSuffix(verdict(8.5, 8), "MISSED"))
	require.Equal(t, "-", verdict(8.5, 0))
}
