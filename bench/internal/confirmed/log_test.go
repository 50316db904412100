//go:build unix

package confirmed

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, keys int) (w, r *Log) {
	path := filepath.Join(t.TempDir(), "log")
	w, err := Create(path, keys)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	_, err = Create(path, keys)
	require.Error(t, err)
	_, err = Open(path, keys+1)
	require.ErrorContains(t, err, "not one of")
	r, err = Open(path, keys)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return w, r
}

// Another mapping of the file knows at once what was confirmed when, and says so when it has forgotten.
func TestOldestAgainstAList(t *testing.T) {
	w, r := open(t, 2)
	type line struct {
		at int64
		v  uint64
	}
	var all []line
	start := Now()
	for i := range uint64(3 * kept) {
		w.Note(1, i+1)
		all = append(all, line{Now(), i + 1}) // not before it was noted
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(all)-1).Draw(t, "i")
		got, known := r.Oldest(1, all[i].at)
		if known && got < all[i].v {
			t.Fatalf("at %d %d was confirmed, not only %d", i, all[i].v, got)
		}
		if known != (i > len(all)-kept) && i < len(all)-kept-2 {
			t.Fatalf("known: %v of line %d", known, i)
		}
	})
	_, known := r.Oldest(1, start-1)
	require.False(t, known)
	v, known := r.Oldest(0, Now())
	require.True(t, known)
	require.Zero(t, v, "nothing is confirmed")
	w.Note(0, 7)
	v, known = r.Oldest(0, start-1)
	require.True(t, known)
	require.Zero(t, v, "not then")
}

// A reader beside the writer never hears of less than it knows to be confirmed.
func TestReadersBesideTheWriter(t *testing.T) {
	w, r := open(t, 1)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			var last uint64
			for {
				v, known := r.Oldest(0, Now())
				if known && v < last {
					t.Errorf("%d after %d", v, last)
				}
				if known {
					last = v
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range uint64(50_000) {
		w.Note(0, i+1)
	}
	close(done)
	wg.Wait()
	v, known := r.Oldest(0, Now())
	require.True(t, known)
	require.EqualValues(t, 50_000, v)
}
