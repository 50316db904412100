package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shipped = "../../../testdata/traces"

// TestShippedTracesAreWhatTheGeneratorMakes compares contents, not compressed
// bytes, which may change with a compressor's version.
func TestShippedTracesAreWhatTheGeneratorMakes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, write(dir, 20261122))
	for _, name := range []string{"zipf.keys.gz", "twitter.csv", "twitter.csv.zst"} {
		want, err := trace.Load(filepath.Join(dir, name), 0, nil)
		require.NoError(t, err)
		got, err := trace.Load(filepath.Join(shipped, name), 0, nil)
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
	csv, err := os.ReadFile(filepath.Join(shipped, "twitter.csv"))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(csv, Twitter(20261122)))
}

func TestEveryOperationIsInIt(t *testing.T) {
	tr, err := trace.Load(filepath.Join(shipped, "twitter.csv"), 0, nil)
	require.NoError(t, err)
	seen := map[trace.Op]bool{}
	for _, r := range tr.Reqs {
		seen[r.Op] = true
	}
	assert.Len(t, seen, len(mix))
	assert.NotEqual(t, Keys(1), Keys(2))
}
