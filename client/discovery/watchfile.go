package discovery

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// maxLinks is how many symbolic links in a row are followed, as many as Linux follows.
const maxLinks = 40

// Watch calls changed when the file is another than before. What is watched is not the
// file, of which a rename would leave an old copy watched, but the folder of its name
// and, where that is a link, the folder of each link's target: with a ConfigMap, the
// folder in which Kubernetes swaps the link "..data".
func (f *File) Watch(ctx context.Context, changed func()) error {
	if f.Path == "" {
		return badConfig("File.Path is empty")
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	watched := map[string]bool{}
	if err := rewatch(w, f.Path, watched); err != nil {
		return err
	}
	last := look(f.Path)
	changed() // whatever happened before is seen by asking
	for {
		select {
		case <-ctx.Done():
			return nil
		case err, ok := <-w.Errors:
			// Lost events are made up for by looking.
			if !ok || !errors.Is(err, fsnotify.ErrEventOverflow) {
				return errors.Join(err, errors.New("the watcher of folders has ended"))
			}
		case _, ok := <-w.Events:
			if !ok {
				return errors.New("the watcher of folders has ended")
			}
		}
		if err := rewatch(w, f.Path, watched); err != nil {
			return err
		}
		// A folder may be a busy one; only what is about this file counts.
		if now := look(f.Path); !last.same(now) {
			last = now
			changed()
		}
	}
}

// rewatch makes w watch the folders that path leads through now, and no others.
func rewatch(w *fsnotify.Watcher, path string, watched map[string]bool) error {
	want, err := trail(path)
	if err != nil {
		return err
	}
	for dir := range watched {
		if !want[dir] {
			delete(watched, dir)
			_ = w.Remove(dir) // gone already, most likely
		}
	}
	for dir := range want {
		// Also those watched before: a folder that was removed and made again has its
		// old name, and is another.
		if err := w.Add(dir); err != nil {
			return err
		}
		watched[dir] = true
	}
	return nil
}

// trail walks path as the system does and returns the folders in which its meaning may
// change: those of every symbolic link on the way, and that of the file itself or of
// the first part that is missing.
func trail(path string) (map[string]bool, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dirs := map[string]bool{}
	root := filepath.VolumeName(abs) + string(filepath.Separator)
	at, links := root, 0
	for rest := parts(abs[len(root):]); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			dirs[at] = true
			return dirs, nil
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			dirs[at] = true
			target, err := os.Readlink(next)
			if err != nil {
				return dirs, nil // replaced meanwhile: there will be an event
			}
			if links++; links > maxLinks {
				return nil, &fs.PathError{Op: "watch", Path: path, Err: errors.New("too many links in a row")}
			}
			if filepath.IsAbs(target) {
				at = root
				target = target[len(filepath.VolumeName(target))+1:]
			}
			rest = append(parts(target), rest...)
			continue
		}
		if len(rest) == 0 {
			dirs[at] = true
		}
		at = next
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
