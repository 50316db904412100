//go:build unix

package discovery

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// watchedFile follows a file and hands on what the hooks say. It polls once an hour, so
// that what is seen is seen by watching.
type watchedFile struct {
	t     *testing.T
	fleet *fakeFleet
	said  chan error // nil: applied
	*Follower
}

func watchFile(t *testing.T, path string) *watchedFile {
	w := &watchedFile{t: t, fleet: newFleet("a"), said: make(chan error, 100)}
	f, err := Follow(w.fleet, &File{Path: path}, Config{Interval: time.Hour, Coalesce: time.Millisecond, Hooks: Hooks{
		Applied: func(_, _, _ []string) { w.said <- nil },
		Kept:    func(_ []string, why error) { w.said <- why },
		Failed:  func(err error) { w.said <- err },
	}})
	require.NoError(t, err)
	w.Follower = f
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return w
}

// sees waits until the fleet is as told, whatever is said before.
func (w *watchedFile) sees(names ...string) {
	w.t.Helper()
	for {
		if strings.Join(w.fleet.names(), " ") == strings.Join(names, " ") {
			return
		}
		if err := <-w.said; err != nil {
			w.t.Logf("%v: %v", names, err)
		}
	}
}

// warns waits for an error that is target.
func (w *watchedFile) warns(target error) error {
	w.t.Helper()
	for {
		if err := <-w.said; errors.Is(err, target) {
			return err
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func swap(t *testing.T, path, text string) {
	t.Helper()
	put(t, path+".new", text)
	require.NoError(t, os.Rename(path+".new", path))
}

func TestFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes")
	put(t, path, "a\nb\n")
	w := watchFile(t, path)
	w.sees("a", "b")
	swap(t, path, "a\nb\nc\n")
	w.sees("a", "b", "c")
	swap(t, path, "c\nb\n") // the operator's word: a works, and leaves
	w.sees("b", "c")
	put(t, path, `["c", "d"]`)
	w.sees("c", "d")

	// Written over in two halves. The first is broken: the last good list stays, and the
	// warning says where.
	half, err := os.Create(path)
	require.NoError(t, err)
	_, err = half.WriteString("[\"c\",\n{\"addr\": \"d\", ")
	require.NoError(t, err)
	var at *LineError
	require.ErrorAs(t, w.warns(ErrMalformed), &at)
	require.Equal(t, LineError{path, 2, at.Err}, *at)
	require.Equal(t, []string{"c", "d"}, w.fleet.names())
	_, err = half.WriteString("\"weight\": 2}, \"e\"]")
	require.NoError(t, err)
	require.NoError(t, half.Close())
	w.sees("c", "d", "e")
	require.Equal(t, 2, w.State().Nodes[1].Weight)

	// Emptied, removed, and back.
	put(t, path, "# nobody\n")
	w.warns(ErrEmpty)
	require.NoError(t, os.Remove(path))
	w.warns(fs.ErrNotExist)
	require.Equal(t, []string{"c", "d", "e"}, w.fleet.names())
	put(t, path, "f\n")
	w.sees("f")
}

// A ConfigMap is a folder of links into "..data", a link to a folder that is swapped.
func TestConfigMap(t *testing.T) {
	mount := t.TempDir()
	publish := func(version, text string) {
		dir := filepath.Join(mount, "..2026_"+version)
		require.NoError(t, os.Mkdir(dir, 0o755))
		put(t, filepath.Join(dir, "nodes"), text)
		old, _ := os.Readlink(filepath.Join(mount, "..data"))
		require.NoError(t, os.Symlink("..2026_"+version, filepath.Join(mount, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
		if old != "" {
			require.NoError(t, os.RemoveAll(filepath.Join(mount, old)))
		}
	}
	publish("1", "a\n")
	path := filepath.Join(mount, "nodes")
	require.NoError(t, os.Symlink(filepath.Join("..data", "nodes"), path))
	w := watchFile(t, path)
	for _, list := range [][]string{{"a", "b"}, {"b"}, {"b", "c", "d"}} {
		publish(list[len(list)-1]+list[0], strings.Join(list, "\n"))
		w.sees(list...)
	}
	// A file behind one more link, in a folder elsewhere. Then the link leads to a third,
	// where the file is changed later.
	outer := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, outer))
	w = watchFile(t, outer)
	w.sees("b", "c", "d")
	publish("9", "z\n")
	w.sees("z")
	third := filepath.Join(t.TempDir(), "nodes")
	put(t, third, "y\n")
	require.NoError(t, os.Symlink(third, outer+".new"))
	require.NoError(t, os.Rename(outer+".new", outer))
	w.sees("y")
	put(t, third, "x\n")
	w.sees("x")
}

// A folder that is not there yet, or is made anew, is watched when it comes.
func TestFolderThatComes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc", "cache")
	path := filepath.Join(dir, "nodes")
	w := watchFile(t, path)
	w.warns(fs.ErrNotExist)
	for _, name := range []string{"b", "c"} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		swap(t, path, name)
		w.sees(name)
		require.NoError(t, os.RemoveAll(filepath.Dir(dir)))
		w.warns(fs.ErrNotExist)
	}
}

// What goes on beside the file does not make it be read.
func TestBusyFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nodes")
	put(t, path, "a\n")
	ctx, cancel := context.WithCancel(context.Background())
	news, ended := make(chan bool, 1000), make(chan error)
	go func() { ended <- (&File{Path: path}).Watch(ctx, func() { news <- true }) }()
	<-news // it watches
	for range 200 {
		put(t, filepath.Join(dir, "log"), "x")
	}
	swap(t, path, "b\n")
	<-news
	cancel()
	require.NoError(t, <-ended)
	require.Empty(t, news)
}

func TestLinkThatGoesRound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loop")
	require.NoError(t, os.Symlink(path, path))
	require.ErrorContains(t, (&File{Path: path}).Watch(context.Background(), func() {}), "links")
	_, err := (&File{Path: path}).Nodes(context.Background())
	require.ErrorIs(t, err, syscall.ELOOP)
}

// A file that is changed again and again is not believed while it is.
func TestSettle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes")
	put(t, path, "a\n")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := &File{Path: path, Settle: time.Hour}
	_, err := f.Nodes(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, path)

	old := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(path, old, old))
	nodes, err := f.Nodes(ctx)
	require.NoError(t, err, "an old file is settled")
	require.Len(t, nodes, 1)

	ahead := time.Now().Add(2 * time.Hour)
	require.NoError(t, os.Chtimes(path, ahead, ahead))
	_, err = f.Nodes(ctx)
	require.ErrorIs(t, err, context.Canceled, "a time in the future proves nothing")
	_, err = (&File{Path: path, Settle: -1}).Nodes(ctx)
	require.NoError(t, err)
	_, err = (&File{Path: path, Settle: time.Millisecond}).Nodes(context.Background())
	require.NoError(t, err, "that it stays the same does")
}

// Half a list of one node a line is a list, too; that it is being written shows in time.
func TestHalfWrittenLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes")
	synctest.Test(t, func(t *testing.T) {
		half := "a:112"
		put(t, path, half)
		for i, text := range []string{half + "11\n", half + "11\nb\n"} {
			time.AfterFunc(DefaultSettle/2+time.Duration(i)*DefaultSettle, func() { put(t, path, text) })
		}
		start := time.Now() // long before the file's own time, so only that it stays counts
		nodes, err := (&File{Path: path}).Nodes(context.Background())
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, namesOf(nodes))
		require.Equal(t, 3*DefaultSettle, time.Since(start))
	})
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	ask := func(path string) error {
		_, err := (&File{Path: path}).Nodes(context.Background())
		return err
	}
	require.ErrorIs(t, ask(""), ErrConfig)
	require.ErrorIs(t, (&File{}).Watch(context.Background(), func() {}), ErrConfig)
	require.ErrorIs(t, ask(filepath.Join(dir, "none")), fs.ErrNotExist)
	require.ErrorContains(t, ask(dir), "not a file")
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o644))
	require.ErrorContains(t, ask(pipe), "not a file")

	big := filepath.Join(dir, "big")
	put(t, big, strings.Repeat("#", MaxFileBytes+1))
	require.ErrorIs(t, ask(big), ErrMalformed)
	put(t, big, strings.Repeat("#", MaxFileBytes))
	require.ErrorIs(t, ask(big), ErrEmpty)
	require.ErrorContains(t, ask(big), big)
}
