package nodebench

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadTrace(t *testing.T) {
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "a.keys"), filepath.Join(dir, "a.keys.gz")
	require.NoError(t, os.WriteFile(plain, []byte("3\n1\n3\n"), 0o600))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte("3\n1\n3\n"))
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(packed, b.Bytes(), 0o600))
	for _, path := range []string{plain, packed} {
		got, err := ReadTrace(path, 0)
		require.NoError(t, err)
		assert.Equal(t, Trace{3, 1, 3}, got)
	}
	got, err := ReadTrace(plain, 2)
	require.NoError(t, err)
	assert.Equal(t, Trace{3, 1}, got)
	for text, want := range map[string]string{"": "no requests", "1\nx\n": "line 2", "-1\n": "line 1"} {
		require.NoError(t, os.WriteFile(plain, []byte(text), 0o600))
		_, err := ReadTrace(plain, 0)
		require.ErrorContains(t, err, want)
	}
	_, err = ReadTrace(filepath.Join(dir, "none"), 0)
	require.Error(t, err)
}

func TestHitRatioOfAServerWithRoom(t *testing.T) {
	trace := make(Trace, 0, 2000)
	for i := range 2000 {
		trace = append(trace, i%100) // 100 keys, none twice in one batch
	}
	size, total := trace.Sizes(200, 1)
	require.Len(t, size, 100)
	for k, n := range size {
		require.GreaterOrEqual(t, n, 100, k)
		require.LessOrEqual(t, n, 300, k)
	}
	assert.InDelta(t, 20_000, total, 3000)
	got, err := node(t).HitRatio(t.Context(), trace, size)
	require.NoError(t, err)
	assert.InDelta(t, 0.95, got, 1e-9, "each key is missing once")
	assert.InDelta(t, 0.95, trace.ExactLRU(size, total), 1e-9)
	assert.Zero(t, trace.ExactLRU(size, total/2), "a cycle longer than the list")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = node(t).HitRatio(ctx, trace, size)
	require.Error(t, err)
}
