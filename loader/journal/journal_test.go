package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
)

// children are what this binary does instead of testing, by the variable that asks for it.
var children = map[string]func(string){childEnv: child}

func TestMain(m *testing.M) {
	for name, run := range children {
		if arg := os.Getenv(name); arg != "" {
			run(arg)
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

func open(t require.TestingT, path string) *journal.Journal {
	j, err := journal.Open(path)
	require.NoError(t, err)
	return j
}

// left returns what j would hand to a loader.
func left(t require.TestingT, j *journal.Journal) []loader.Record {
	var out []loader.Record
	require.NoError(t, j.Replay(func(r loader.Record) error {
		out = append(out, r)
		return nil
	}))
	return out
}

// The newest record of each key that was not forgotten comes back, in the order of Seq,
// however often the file is opened in between; versions only ever grow.
func TestJournalAgainstAModel(t *testing.T) {
	dir := t.TempDir()
	file := 0
	rapid.Check(t, func(rt *rapid.T) {
		file++
		path := filepath.Join(dir, fmt.Sprint(file))
		j := open(rt, path)
		model := map[string]loader.Record{}
		var last loader.Version
		key := rapid.SampledFrom([]string{"a", "b", "c\x00", "dd", string(make([]byte, 300))})
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				var recs []loader.Record
				for range rapid.IntRange(0, 5).Draw(rt, "records") {
					r := loader.Record{Key: key.Draw(rt, "key"), Deleted: rapid.Bool().Draw(rt, "deleted")}
					if !r.Deleted {
						r.Value = rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(rt, "value")
					}
					recs = append(recs, r)
				}
				require.NoError(rt, j.Append(recs))
				for _, r := range recs {
					require.Equal(rt, last.Seq+1, r.Version.Seq)
					require.True(rt, r.Version.Time.After(last.Time))
					require.True(rt, last.Seq == 0 || r.Version.Writer == last.Writer)
					last = r.Version
					model[r.Key] = r
				}
			case 2:
				if r, ok := model[key.Draw(rt, "forgotten")]; ok {
					if rapid.Bool().Draw(rt, "an old one") {
						r.Version.Seq--
					} else {
						delete(model, r.Key)
					}
					j.Forget(r)
				}
			case 3:
				require.NoError(rt, j.Close())
				j = open(rt, path)
				var want []loader.Record
				for _, r := range model {
					want = append(want, r)
				}
				slices.SortFunc(want, func(a, b loader.Record) int { return a.Version.Compare(b.Version) })
				got := left(rt, j)
				require.Len(rt, got, len(want))
				for i := range got {
					require.Equal(rt, string(want[i].Value), string(got[i].Value))
					want[i].Value, got[i].Value = nil, nil
					require.Equal(rt, want[i], got[i])
				}
				require.NoError(rt, j.Close())
				j = open(rt, path)
			}
		}
		require.NoError(rt, j.Close())
	})
}

// Writers that come together share their commits, and all is there afterwards.
func TestGroupCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	const writers = 64
	each := journal.Scaled(50)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				recs := []loader.Record{{Key: fmt.Sprintf("%d/%d", w, i), Value: []byte("v")}}
				if err := j.Append(recs); err != nil {
					panic(err)
				}
				if i%2 == 0 {
					j.Forget(recs[0])
				}
			}
		})
	}
	wg.Wait()
	s := j.Stats()
	require.EqualValues(t, writers*each, s.Records)
	require.Less(t, s.Commits, s.Records/4)
	require.NoError(t, j.Close())
	j = open(t, path)
	require.Len(t, left(t, j), writers*(each/2))
	require.NoError(t, j.Close())
}

// What is forgotten goes from the file even if no write follows and nobody closes it.
func TestForgottenWithoutAnotherWrite(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	recs := []loader.Record{{Key: "k"}}
	require.NoError(t, j.Append(recs))
	j.Forget(recs[0])
	require.Eventually(t, func() bool { return j.Stats().Commits == 2 }, time.Minute, time.Millisecond)
	require.Empty(t, left(t, j))
	require.NoError(t, j.Close())
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, b []byte) string {
		require.NoError(t, os.WriteFile(path(name), b, 0o600))
		return path(name)
	}
	foreign := path("foreign")
	db, err := bbolt.Open(foreign, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	newer := path("newer")
	require.NoError(t, open(t, newer).Close())
	heads, err := os.ReadFile(newer)
	require.NoError(t, err)
	heads[19], heads[4096+19] = 3, 3
	write("newer", heads)
	held := path("held")
	j := open(t, held)
	damaged := path("damaged")
	d := open(t, damaged)
	require.NoError(t, d.Append([]loader.Record{{Key: "k", Value: []byte("needle")}}))
	require.NoError(t, d.Close())
	b, err := os.ReadFile(damaged)
	require.NoError(t, err)
	for i := range len(b) - 6 {
		if string(b[i:i+6]) == "needle" {
			b[i] = 'N'
		}
	}
	write("damaged", b)

	for at, says := range map[string]string{
		path("no/such/file"): "there is no directory",
		held:                 "in use by another process or loader",
		dir:                  "is no file",
		write("empty", nil):  "is empty, no journal",
		write("text", []byte("no database at all, but long enough to be looked at")): "no journal or damaged",
		foreign: "bbolt database, as journals were before",
		newer:   "written by a newer version: its format is 3, this program knows 2",
		damaged: "it is damaged: the commit at byte",
	} {
		before, _ := os.ReadFile(at)
		_, err := journal.Open(at)
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, at, "it names the file")
		after, _ := os.ReadFile(at)
		require.Equal(t, before, after, "left as it was")
	}
	_, err = journal.Open("")
	require.ErrorContains(t, err, "needs the name of a file")
	_, err = journal.Open(path("no/such/file"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "there is no directory "+path("no/such")+": make it first")
	require.NoError(t, j.Close())
	require.ErrorIs(t, j.Append([]loader.Record{{Key: "k"}}), journal.ErrClosed)
	require.NoError(t, j.Close())
}

// The file keeps its length however much is written through it, has room for all that is pending, and becomes short again.
func TestTheFileStaysShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	size := func() int64 {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Size()
	}
	j := open(t, path)
	value := make([]byte, 100<<10)
	through := func(n int) {
		for range n {
			recs := []loader.Record{{Key: "through", Value: value}}
			require.NoError(t, j.Append(recs))
			j.Forget(recs[0])
		}
	}
	through(200) // 20 MB
	require.LessOrEqual(t, size(), int64(10<<20))
	var pending []loader.Record
	const n = 200
	for i := range n {
		recs := []loader.Record{{Key: fmt.Sprint("pending", i), Value: value}}
		require.NoError(t, j.Append(recs))
		pending = append(pending, recs...)
	}
	through(500) // past which 20 MB are carried along
	require.Less(t, size(), int64(5*n*len(value)))
	require.NoError(t, j.Close())
	j = open(t, path)
	got := left(t, j)
	require.GreaterOrEqual(t, len(got), n)
	for i, r := range pending {
		require.Equal(t, r.Key, got[i].Key)
		require.Equal(t, r.Version.Seq, got[i].Version.Seq)
		require.Len(t, got[i].Value, len(value))
		j.Forget(r)
	}
	through(1500)
	require.LessOrEqual(t, size(), int64(13<<20))
	require.NoError(t, j.Close())
}

func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	require.NoError(t, open(t, path).Close())
	below := filepath.Join(path, "new") // a file is no folder, not even to root
	_, err := journal.Open(below)
	require.ErrorIs(t, err, syscall.ENOTDIR)
	require.ErrorContains(t, err, below)
	_, err = journal.Open(dir)
	require.Error(t, err, "a folder is no file")
	require.ErrorContains(t, err, dir)
	if os.Geteuid() == 0 {
		return // root may write what is below
	}
	require.NoError(t, os.Chmod(path, 0o400))
	_, err = journal.Open(path)
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.Chmod(dir, 0o500))
	_, err = journal.Open(filepath.Join(dir, "new"))
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, "new")
	require.NoError(t, os.Chmod(dir, 0o700))
}

func TestOneLoaderEach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	require.NoError(t, j.Append([]loader.Record{{Key: "k"}}))
	refused := errors.New("its prefix is another")
	require.ErrorIs(t, j.Replay(func(loader.Record) error { return refused }), refused)
	require.Len(t, left(t, j), 1, "it belongs to nobody yet")
	require.ErrorContains(t, j.Replay(func(loader.Record) error { return nil }), "belongs to another loader")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm(), "values are user data")
	require.ErrorContains(t, j.Append([]loader.Record{{Key: "fine"}, {Key: string(make([]byte, 1<<16))}}), "a key of 65536 bytes")
	require.EqualValues(t, 1, j.Stats().Records)
	require.NoError(t, j.Close())
}
