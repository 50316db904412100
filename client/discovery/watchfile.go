package discovery

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// maxLinks is how many symbolic links in a row are followed, as many as Linux follows.
const maxLinks = 40

// recheck is how often the watched folders are looked at although nothing happened in
// them: one of their parents may have been renamed, and nobody tells.
const recheck = DefaultInterval

// Watch calls changed when the file is another than before. What is watched is not the
// file, of which a rename would leave an old copy watched, but the folder of its name
// and, where that is a link, the folder of each link's target: with a ConfigMap, the
// folder in which Kubernetes swaps the link "..data".
func (f *File) Watch(ctx context.Context, changed func()) error {
	if f.Path == "" {
		return badConfig("File.Path is empty")
	}
	w, err := watchTrail(f.Path)
	if err != nil {
		return err
	}
	defer func() { w.Close() }()
	last := look(f.Path)
	changed() // whatever happened before is seen by asking
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		again := false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case err, ok := <-w.Errors:
			if !ok {
				return errWatchEnded
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			again = true // lost events may have been about the folders
		case e, ok := <-w.Events:
			if !ok {
				return errWatchEnded
			}
			_, again = w.dirs[e.Name] // a folder itself has gone
		}
		if again || !w.upToDate(f.Path) {
			next, err := watchTrail(f.Path)
			if err != nil {
				return err
			}
			w.Close()
			w = next
		}
		// A folder may be a busy one; only what is about this file counts.
		if now := look(f.Path); !last.same(now) {
			last = now
			changed()
		}
	}
}

var errWatchEnded = errors.New("the watcher of folders has ended")

// folders watches some folders and knows which they were: one that was removed and made
// again has its old name, and is another.
type folders struct {
	*fsnotify.Watcher
	dirs map[string]fs.FileInfo
}

// watchTries is how often in a row the folders may be others than a moment ago.
const watchTries = 100

// watchTrail watches the folders that path leads through. What changes before a folder is
// watched is not told, so they are looked at again afterwards. A watcher's set is never
// changed: taking up a folder anew while the end of the old one is still to be told loses
// the new one with it.
func watchTrail(path string) (*folders, error) {
	var err error
	for range watchTries {
		w := &folders{}
		if w.dirs, err = trail(path); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if w.Watcher, err = fsnotify.NewWatcher(); err != nil {
			return nil, err
		}
		for dir := range w.dirs {
			if err = w.Add(dir); err != nil {
				break
			}
		}
		if err == nil && w.upToDate(path) {
			return w, nil
		}
		w.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, errors.Join(err, &fs.PathError{Op: "watch", Path: path, Err: errors.New("its folders keep changing")})
}

// upToDate says whether path leads through the folders that are watched.
func (w *folders) upToDate(path string) bool {
	now, err := trail(path)
	return err == nil && maps.EqualFunc(w.dirs, now, os.SameFile)
}

// trail walks path as the system does and returns the folders in which its meaning may
// change: those of every symbolic link on the way, and that of the file itself or of
// the first part that is missing.
func trail(path string) (map[string]fs.FileInfo, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	root := filepath.VolumeName(abs) + string(filepath.Separator)
	at, links := root, 0
	dirs := map[string]fs.FileInfo{}
	note := func(dir string) {
		// A folder that goes as we look makes the answer one that the next look won't give.
		if info, err := os.Lstat(dir); err == nil {
			dirs[dir] = info
		}
	}
	for rest := parts(abs[len(root):]); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil || len(rest) == 0 || info.Mode()&fs.ModeSymlink != 0 {
			note(at)
		}
		if err != nil {
			break
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			break // replaced as we looked
		}
		if links++; links > maxLinks {
			return nil, &fs.PathError{Op: "watch", Path: path, Err: errors.New("too many links in a row")}
		}
		if filepath.IsAbs(target) {
			at = root
			target = target[len(filepath.VolumeName(target)):]
		}
		rest = append(parts(target), rest...)
	}
	if len(dirs) == 0 {
		return nil, &fs.PathError{Op: "watch", Path: path, Err: fs.ErrNotExist}
	}
	return dirs, nil
}

// parts are the names in a path.
func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
}

// looks is what tells a file from another under its name without reading it.
type looks struct {
	info fs.FileInfo // nil if there is none
}

func look(path string) looks {
	info, err := os.Stat(path)
	if err != nil {
		return looks{}
	}
	return looks{info}
}

func (a looks) same(b looks) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
}
