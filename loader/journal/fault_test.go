package journal

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// faulty is a disk that fails: before anything is written, as a full one does, or after
// all of it was, as a failed fsync may.
type faulty struct {
	disk
	mu     sync.Mutex
	before error
	after  error
	begun  chan bool // if set, a commit says so
	goOn   chan bool // and waits
}

func (f *faulty) commit(c change) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if f.begun != nil {
		f.begun <- true
		<-f.goOn
	}
	if before != nil {
		return before
	}
	if err := f.disk.commit(c); err != nil {
		return err
	}
	return after
}

func openFaulty(t *testing.T) (*Journal, *faulty, string) {
	path := filepath.Join(t.TempDir(), "users.journal")
	j, err := Open(path)
	require.NoError(t, err)
	f := &faulty{disk: j.disk}
	j.disk = f
	return j, f, path
}

func one(key string) []loader.Record { return []loader.Record{{Key: key, Value: []byte("v")}} }

// What was accepted before a failure is there after the next start; what was refused says
// so, as does everything after it, and names the file.
func TestAFailedDiskTakesNothingMore(t *testing.T) {
	full, fsync := errors.New("no space left on device"), errors.New("input/output error")
	for name, set := range map[string]func(*faulty){
		"disk full":   func(f *faulty) { f.before = full },
		"fsync fails": func(f *faulty) { f.after = fsync },
	} {
		t.Run(name, func(t *testing.T) {
			j, f, path := openFaulty(t)
			require.NoError(t, j.Append(one("accepted")))
			set(f)
			err := j.Append(one("refused"))
			require.ErrorContains(t, err, path)
			cause := errors.Join(f.before, f.after)
			require.ErrorContains(t, err, cause.Error())
			f.mu.Lock()
			f.before, f.after = nil, nil // the disk has room again, and is not trusted
			f.mu.Unlock()
			err = j.Append(one("later"))
			require.ErrorContains(t, err, "takes no more writes until it is opened again")
			require.ErrorContains(t, err, cause.Error())
			j.Forget(one("accepted")[0])
			require.ErrorContains(t, j.Close(), cause.Error())

			j, err = Open(path)
			require.NoError(t, err)
			got := map[string]bool{}
			require.NoError(t, j.Replay(func(r loader.Record) error { got[r.Key] = true; return nil }))
			require.True(t, got["accepted"])
			require.False(t, got["later"])
			require.NoError(t, j.Append(one("again")))
			require.NoError(t, j.Close())
		})
	}
}

// All who share a commit that fails hear of it, and those who wait for the next one too.
func TestAllOfAGroupHear(t *testing.T) {
	j, f, _ := openFaulty(t)
	f.begun, f.goOn = make(chan bool), make(chan bool)
	f.before = errors.New("no space left on device")
	const n = 20
	errs := make(chan error, n)
	go func() { errs <- j.Append(one("first")) }()
	<-f.begun
	for range n - 1 {
		go func() { errs <- j.Append(one("k")) }()
	}
	queued := func() int {
		j.mu.Lock()
		defer j.mu.Unlock()
		return len(j.queue)
	}
	for queued() < n-1 {
		select {
		case err := <-errs:
			t.Fatal("came back before the disk answered: ", err)
		default:
		}
	}
	f.goOn <- true
	for range n {
		require.ErrorContains(t, <-errs, "no space left")
	}
	require.Error(t, j.Close())
}

// Who closes again hears when, and how, the first Close has ended.
func TestCloseTwice(t *testing.T) {
	j, f, _ := openFaulty(t)
	f.begun, f.goOn = make(chan bool), make(chan bool)
	f.before = errors.New("no space left on device")
	appended, closed := make(chan error, 1), make(chan error, 2)
	go func() { appended <- j.Append(one("k")) }()
	<-f.begun
	for range 2 {
		go func() { closed <- j.Close() }()
	}
	ends := func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.closed
	}
	for !ends() {
		runtime.Gosched()
	}
	require.Empty(t, closed)
	f.goOn <- true
	require.ErrorContains(t, <-appended, "no space left")
	for range 2 {
		require.ErrorContains(t, <-closed, "no space left")
	}
}

// What has been written is nobody's to keep.
func TestKeepsNoValue(t *testing.T) {
	j, _, _ := openFaulty(t)
	value := make([]byte, 100<<10)
	kept := weak.Make(&value[0])
	require.NoError(t, j.Append([]loader.Record{{Key: "k", Value: value}}))
	runtime.GC()
	require.Nil(t, kept.Value())
	require.NoError(t, j.Close())
}

// While one waits for the lock, another file may come to stand under the name: then it has the one that does, or none.
func TestAnotherFileInItsPlace(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "j")
		first, err := Open(path)
		require.NoError(t, err)
		second := make(chan *Journal)
		go func() {
			j, _ := Open(path)
			second <- j
		}()
		runtime.Gosched()
		require.NoError(t, os.Rename(path, path+".old"))
		if j := <-second; j != nil {
			has, err := j.disk.(*log).store.(file).Stat()
			require.NoError(t, err)
			is, err := os.Stat(path)
			require.NoError(t, err)
			require.True(t, os.SameFile(has, is))
			require.NoError(t, j.Close())
		}
		require.NoError(t, first.Append(one("k")))
		require.NoError(t, first.Close())
		first, err = Open(path + ".old")
		require.NoError(t, err)
		require.NoError(t, first.Close())
	}
}

// A crash in the middle of a commit leaves the file with a part of what was being written. Every beginning of the new
// frame, on the file as it was before, opens with all that was accepted before, and with what was being accepted whole or
// not at all. TestCrashAtEveryWrite has any pages in any order, and changes of generation.
func TestTornAtEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, j.Append(append(one("old"), loader.Record{Key: "both", Value: []byte("1")})))
	require.NoError(t, j.Append(one("forgotten")))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, j.Append([]loader.Record{{Key: "both", Value: []byte("2")}, {Key: "new", Value: []byte("n")}}))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, j.Close())

	require.Len(t, after, len(before), "zeros were there already")
	torn := append([]byte(nil), before...)
	seen := map[string]int{}
	n := 0
	for i := range after {
		if torn[i] == after[i] {
			continue
		}
		torn[i] = after[i]
		n++
		file := filepath.Join(t.TempDir(), "torn")
		require.NoError(t, os.WriteFile(file, torn, 0o600))
		j, err := Open(file)
		require.NoError(t, err)
		got := map[string]string{}
		require.NoError(t, j.Replay(func(r loader.Record) error { got[r.Key] = string(r.Value); return nil }))
		state := "old"
		want := map[string]string{"old": "v", "both": "1", "forgotten": "v"}
		if got["both"] == "2" {
			state = "new"
			want = map[string]string{"old": "v", "both": "2", "forgotten": "v", "new": "n"}
		}
		require.Equal(t, want, got)
		seen[state]++
		require.NoError(t, j.Append(one("goes on")))
		require.NoError(t, j.Close())
	}
	require.Equal(t, after, torn)
	require.Equal(t, map[string]int{"old": n - 1, "new": 1}, seen)
	require.Greater(t, n, 60)
}
