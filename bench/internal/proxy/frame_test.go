package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRepliesAreToldApart: every kind of reply, alone and before others, and no part of
// one is taken for the whole.
func TestRepliesAreToldApart(t *testing.T) {
	for _, r := range []string{
		"HD\r\n", "EN\r\n", "END\r\n", "STORED\r\n", "HD O1 c5\r\n", "VERSION 1.6.18\r\n", "42\r\n",
		"VA 0\r\n\r\n", "VA 3 O7 f1\r\na\nb\r\n", "VA 12 t-1\r\nVALUE a 0 1\r\r\n",
		"VALUE a 0 3\r\nabc\r\nEND\r\n", "VALUE a 0 5\r\nEND\r\n\r\nVALUE b 0 0 99\r\n\r\nEND\r\n",
		"STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n", "SERVER_ERROR out of memory\r\n",
		"VALUE a 0 x\r\n", "VA\r\n", "VA -1\r\n", "VA 99999999999\r\n", "VALUE a\r\n", // nonsense is a line
	} {
		for i := range len(r) {
			require.Zero(t, replyLen([]byte(r[:i])), "%q of %q", r[:i], r)
		}
		for _, next := range []string{"", "H", "VA 9\r\n", "END\r\n"} {
			require.Equal(t, len(r), replyLen([]byte(r+next)), "%q", r+next)
		}
	}
}

// TestFates: a reply's fate depends on one number alone, each fault has its share, and
// no fault is part of a healthy plan.
func TestFates(t *testing.T) {
	p := Plan{LateEvery: 20, CutEvery: 50, StrayEvery: 1000}
	rng := newLink(&Proxy{seed: 1}, nil, 7).rng
	again := newLink(&Proxy{seed: 1}, nil, 7).rng
	other := newLink(&Proxy{seed: 1}, nil, 8).rng
	const n = 200_000
	var late, cut, reset, stray, same int
	for range n {
		f := p.fate(rng.Uint64())
		require.Equal(t, f, p.fate(again.Uint64()))
		if f == p.fate(other.Uint64()) {
			same++
		}
		for c, is := range map[*int]bool{&late: f.late, &cut: f.cut, &reset: f.cut && f.reset, &stray: f.stray} {
			if is {
				*c++
			}
		}
	}
	require.InEpsilon(t, n/20, late, 0.05)
	require.InEpsilon(t, n/50, cut, 0.05)
	require.InEpsilon(t, n/100, reset, 0.05)
	require.InEpsilon(t, n/1000, stray, 0.4)
	require.Less(t, same, n/2, "connections differ")
	for range 1000 {
		f := Healthy.fate(rng.Uint64())
		require.False(t, f.late || f.cut || f.stray)
		f = (&Plan{LateEvery: 1, CutEvery: 1, StrayEvery: 1}).fate(rng.Uint64())
		require.True(t, f.late && f.cut && f.stray)
	}
}
