package origin

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/value"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(i int) string { return fmt.Sprintf("row:%d", i) }

func newSQLite(t *testing.T, n int, seed uint64) *SQLite {
	t.Helper()
	s, err := NewSQLite(t.Context(), n, key, 100, 300, seed, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, s.Close())
		_, err := os.Stat(s.dir)
		assert.ErrorIs(t, err, os.ErrNotExist, "the folder is removed")
	})
	return s
}

func TestSQLite(t *testing.T) {
	s := newSQLite(t, 500, 1)
	ctx := context.Background()
	for i := range 500 {
		b, err := s.Load(ctx, key(i))
		require.NoError(t, err)
		v, err := value.Check(key(i), b)
		require.NoError(t, err)
		require.EqualValues(t, 1, v)
		require.GreaterOrEqual(t, len(b), 100)
		require.LessOrEqual(t, len(b), 300)
	}
	require.NoError(t, s.Store(ctx, key(7), value.Make(key(7), 2, 100)))
	b, err := s.Load(ctx, key(7))
	require.NoError(t, err)
	assert.Equal(t, value.Make(key(7), 2, 100), b)
	_, err = s.Load(ctx, "row:500")
	assert.ErrorIs(t, err, ErrNoRow)
	assert.ErrorIs(t, s.Store(ctx, "row:500", b), ErrNoRow)
	assert.EqualValues(t, 502, s.Loads())
	assert.EqualValues(t, 2, s.Stores())
}

func TestSameSeedSameRows(t *testing.T) {
	a, b, c := newSQLite(t, 50, 9), newSQLite(t, 50, 9), newSQLite(t, 50, 10)
	same := true
	for i := range 50 {
		x, err := a.Load(t.Context(), key(i))
		require.NoError(t, err)
		y, err := b.Load(t.Context(), key(i))
		require.NoError(t, err)
		z, err := c.Load(t.Context(), key(i))
		require.NoError(t, err)
		require.Equal(t, x, y)
		same = same && len(x) == len(z)
	}
	assert.False(t, same, "another seed gives other sizes")
}

// TestReadersAndWriters shows that nobody is told that the database is locked, and
// that a read after a write sees it.
func TestReadersAndWriters(t *testing.T) {
	s := newSQLite(t, 20, 1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for v := range uint64(50) {
				assert.NoError(t, s.Store(context.Background(), key(i), value.Make(key(i), v+2, 100)))
				b, err := s.Load(context.Background(), key(i))
				if !assert.NoError(t, err) {
					return
				}
				got, err := value.Check(key(i), b)
				assert.NoError(t, err)
				assert.Equal(t, v+2, got)
			}
		})
	}
	wg.Wait()
}

func TestCancelledGenerationLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	_, err := NewSQLite(ctx, 100_000, key, 10, 10, 1, func(int) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestSynthetic(t *testing.T) {
	ctx := context.Background()
	s := NewSynthetic([]string{"a", "b"}, []int{100, 5}, 0)
	b, err := s.Load(ctx, "a")
	require.NoError(t, err)
	assert.Equal(t, value.Make("a", 1, 100), b)
	b, err = s.Load(ctx, "b")
	require.NoError(t, err)
	assert.Len(t, b, value.MinSize("b"))
	require.NoError(t, s.Store(ctx, "a", value.Make("a", 5, 100)))
	require.NoError(t, s.Store(ctx, "a", value.Make("a", 3, 100)))
	b, err = s.Load(ctx, "a")
	require.NoError(t, err)
	assert.Equal(t, value.Make("a", 5, 100), b, "an older write that comes late loses")
	assert.ErrorIs(t, s.Store(ctx, "a", b[:9]), value.ErrWrong)
	assert.ErrorIs(t, s.Store(ctx, "c", b), ErrNoRow)
	_, err = s.Load(ctx, "c")
	assert.ErrorIs(t, err, ErrNoRow)
	assert.EqualValues(t, 4, s.Loads())
	assert.EqualValues(t, 4, s.Stores())
}

func TestSyntheticTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSynthetic([]string{"a"}, []int{100}, time.Second)
		start := time.Now()
		_, err := s.Load(context.Background(), "a")
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err = s.Load(ctx, "a")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, s.Store(ctx, "a", value.Make("a", 2, 100)), context.DeadlineExceeded)
	})
}
