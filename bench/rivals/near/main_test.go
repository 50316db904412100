package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPlayersHoldWhatTheyWereGiven(t *testing.T) {
	all, err := players()
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, p := range all {
		for i := range asked {
			require.Equal(t, i < held, p.get(i), "%s, key %d", p.name, i)
		}
	}
}

func TestRun(t *testing.T) {
	var out, stderr bytes.Buffer
	require.Zero(t, run([]string{"-rounds", "1", "-ops", "1000"}, &out, &stderr), stderr.String())
	for _, want := range []string{"clock", "memherd's near-cache", "otter", "golang-lru", "clock + 20 "} {
		require.Contains(t, out.String(), want)
	}
	for _, args := range [][]string{{"-rounds", "0"}, {"-ops", "0"}, {"word"}, {"-what"}} {
		require.Equal(t, 2, run(args, &out, &stderr))
	}
	require.Contains(t, stderr.String(), "at least one round")
	require.Equal(t, "MISSED", verdict(20.1, 20))
	require.Equal(t, "met", verdict(20, 20))
}

func TestALostKeyEndsTheComparison(t *testing.T) {
	require.InDelta(t, 3.0, median([]float64{9, 1, 3}), 0)
	require.Positive(t, timed(100_000, func(i int) bool { return i >= 0 }))
}
