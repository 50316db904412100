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
	renamed, unpacked := filepath.Join(dir, "b"), filepath.Join(dir, "b.gz")
	require.NoError(t, os.WriteFile(renamed, b.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(unpacked, []byte("3\n1\n3\n"), 0o600))
	for _, path := range []string{plain, packed, renamed, unpacked} {
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

func TestMakeTrace(t *testing.T) {
	for _, name := range []string{"zipf:0.99", "drift:0.99"} {
		a, err := MakeTrace(name, 50_000, 1)
		require.NoError(t, err)
		require.Len(t, a, 50_000)
		b, err := MakeTrace(name, 50_000, 1)
		require.NoError(t, err)
		assert.Equal(t, a, b, "the same seed, the same requests")
		other, err := MakeTrace(name, 50_000, 2)
		require.NoError(t, err)
		assert.NotEqual(t, a, other)
		fresh := 0
		for i, k := range a {
			if k >= madeKeys {
				assert.GreaterOrEqual(t, i, 5000, "none is new before the first tenth has passed")
				fresh++
			}
		}
		if name == "zipf:0.99" {
			assert.Zero(t, fresh)
			continue
		}
		// Of the requests behind the first tenth 20 %, then 36 %, 49 % and so on are for new keys.
		assert.InDelta(t, 0.56, float64(fresh)/45_000, 0.15)
	}
	for _, bad := range []string{"zipf:", "zipf:x", "zipf:-1", "other:1", "zipf"} {
		_, err := MakeTrace(bad, 0, 1)
		require.ErrorContains(t, err, bad)
	}
}
