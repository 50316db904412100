package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// copyOf opens what the file has now, as a process would that starts after this one was killed.
func copyOf(t *testing.T, path string) map[string]bool {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	next := filepath.Join(t.TempDir(), "next")
	require.NoError(t, os.WriteFile(next, b, 0o600))
	j, err := Open(next)
	require.NoError(t, err)
	got := map[string]bool{}
	require.NoError(t, j.Replay(func(r loader.Record) error { got[r.Key] = true; return nil }))
	require.NoError(t, j.Close())
	return got
}

// What Settle has returned for does not come back, and it costs a commit only if something of the key was forgotten.
func TestSettle(t *testing.T) {
	j, _, path := openFaulty(t)
	a, b := one("a"), one("b")
	require.NoError(t, j.Append(a))
	require.NoError(t, j.Append(b))
	require.NoError(t, j.Settle("a"), "it is pending, not forgotten")
	require.EqualValues(t, 2, j.Stats().Commits)
	j.Forget(a[0])
	require.True(t, copyOf(t, path)["a"], "or this test would see nothing")
	require.NoError(t, j.Settle("b"))
	require.EqualValues(t, 2, j.Stats().Commits)
	require.NoError(t, j.Settle("a"))
	require.NoError(t, j.Settle("a"))
	require.EqualValues(t, 3, j.Stats().Commits)
	require.Equal(t, map[string]bool{"b": true}, copyOf(t, path))
	require.NoError(t, j.Close())
}

// A Settle that comes while the commit is under way that strikes the record out waits until it has ended.
func TestSettleDuringACommit(t *testing.T) {
	j, f, path := openFaulty(t)
	a := one("a")
	require.NoError(t, j.Append(a))
	j.Forget(a[0])
	f.begun, f.goOn = make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() { require.NoError(t, j.Append(one("b"))) })
	<-f.begun
	settled := make(chan error, 1)
	go func() { settled <- j.Settle("a") }()
	require.True(t, copyOf(t, path)["a"])
	require.Empty(t, settled)
	f.goOn <- true
	<-f.begun // Settle's own
	f.goOn <- true
	require.NoError(t, <-settled)
	wg.Wait()
	require.Equal(t, map[string]bool{"b": true}, copyOf(t, path))
	f.begun, f.goOn = nil, nil
	require.NoError(t, j.Close())
}

// Many who write and forget don't keep a Settle waiting, and after it nothing of its key is left.
func TestSettleBesideWriters(t *testing.T) {
	j, _, path := openFaulty(t)
	var wg sync.WaitGroup
	stop := make(chan bool)
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				recs := one(fmt.Sprint("other", g, i))
				require.NoError(t, j.Append(recs))
				j.Forget(recs[0])
			}
		})
	}
	for i := range 30 {
		recs := one(fmt.Sprint("k", i))
		require.NoError(t, j.Append(recs))
		j.Forget(recs[0])
		require.NoError(t, j.Settle(recs[0].Key))
	}
	close(stop)
	wg.Wait()
	for key := range copyOf(t, path) {
		require.Regexp(t, "^other", key)
	}
	require.NoError(t, j.Close())
}

// After a failure a key whose record may come back is refused, and others are not.
func TestSettleOnAFailedDisk(t *testing.T) {
	j, f, path := openFaulty(t)
	a := one("a")
	require.NoError(t, j.Append(a))
	j.Forget(a[0])
	f.mu.Lock()
	f.before = errors.New("no space left on device")
	f.mu.Unlock()
	require.ErrorContains(t, j.Settle("a"), path)
	require.ErrorContains(t, j.Settle("a"), "takes no more writes until it is opened again")
	require.NoError(t, j.Settle("b"))
	require.Error(t, j.Close())
	require.ErrorIs(t, j.Settle("a"), ErrClosed)
}

// A key one of whose records a failed commit had is refused, too: that record may come back, or the one whose place it would have taken,
// even if that has been at the origin.
func TestSettleAfterARefusedRecord(t *testing.T) {
	for name, before := range map[string][]string{"an older one": {"k"}, "no older one": nil} {
		t.Run(name, func(t *testing.T) {
			j, f, path := openFaulty(t)
			var older []loader.Record
			for _, key := range before {
				older = one(key)
				require.NoError(t, j.Append(older))
			}
			f.mu.Lock()
			f.after = errors.New("input/output error")
			if older != nil {
				f.before = f.after
			}
			f.mu.Unlock()
			require.Error(t, j.Append(one("k")))
			if older != nil {
				j.Forget(older[0])
			}
			require.True(t, copyOf(t, path)["k"], "or this test would see nothing")
			require.ErrorContains(t, j.Settle("k"), path)
			require.NoError(t, j.Settle("other"))
			require.Error(t, j.Close())
		})
	}
}
