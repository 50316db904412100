package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"

	"github.com/memherd/memherd/loader"
)

const (
	// lockWait is how long Open waits for another process to let go of the file, and lockRetry how often it looks.
	lockWait  = time.Second
	lockRetry = 10 * time.Millisecond
)

// file is the storage of a log on a disk, which no other process has.
type file struct {
	*os.File
	lock  *flock.Flock
	named bool // it had a name when it was opened: some file systems count none
}

var errRemoved = errors.New("the file has been removed, or another put in its place: nobody would find what it holds")

// Sync fails if the file has lost its name: what is written to it then lasts until it is closed.
func (f file) Sync() error {
	if err := syncData(f.File); err != nil {
		return err
	}
	if f.named && nameless(f.File) {
		return errRemoved
	}
	return nil
}

func (f file) Close() error { return errors.Join(f.File.Close(), f.lock.Close()) }

// Open opens the file, or makes it, readable by its owner alone: it holds user data. Its
// directory must be there. A file that another process has open, that cannot be written,
// that is no journal, that is damaged, or that a newer version of this package wrote is an error that names
// it, and is left as it is. After a crash everything that was accepted is there; a journal of which much is
// pending is copied within its file first.
func Open(path string) (*Journal, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	f, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(path, f)
	if err != nil {
		_ = f.Close() // nothing was written that counts
		return nil, err
	}
	return j, nil
}

func openJournal(path string, f file) (*Journal, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("journal: opening %s: %w", path, err)
	}
	l, err := openLog(f, info.Size(), usual)
	var newer newerError
	switch {
	case errors.As(err, &newer):
		return nil, fmt.Errorf("journal: %s was written by a newer version: %w: let that version bring its writes to the origin first", path, err)
	case errors.Is(err, errBolt):
		return nil, fmt.Errorf("journal: %s is no journal of this version, it is left as it is: %w: let that version bring its writes to the origin, and give another name", path, err)
	case errors.Is(err, errForeign):
		return nil, fmt.Errorf("journal: %s is no journal or damaged, it is left as it is: give another name: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("journal: opening %s: %w", path, err)
	}
	j := newJournal(path, l)
	j.clock = l.clock
	j.clock.Writer = l.head.writer
	if err := l.load(func(r loader.Record) error { j.live[r.Key] = r.Version.Seq; return nil }); err != nil {
		return nil, fmt.Errorf("journal: opening %s: %w", path, err)
	}
	return j, nil
}

// lockFile opens the file for this process alone.
func lockFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return file{}, fmt.Errorf("journal: opening %s: %w", path, err)
	}
	name, flags := path, os.O_RDWR
	if runtime.GOOS == "windows" { // where what is locked cannot be read through another handle
		name, flags = path+".lock", os.O_CREATE|os.O_RDWR
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	l := flock.New(name, flock.SetFlag(flags), flock.SetPermissions(0o600))
	switch _, err := l.TryLockContext(ctx, lockRetry); {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("journal: %s is in use by another process or loader: each needs a file of its own", path)
		return file{}, errors.Join(err, f.Close())
	case err != nil:
		return file{}, errors.Join(fmt.Errorf("journal: locking %s: %w", path, err), f.Close())
	}
	if name == path {
		has, err := f.Stat()
		if locked, lerr := l.Stat(); err != nil || lerr != nil || !os.SameFile(has, locked) {
			return file{}, errors.Join(fmt.Errorf("journal: opening %s: another file was put in its place meanwhile", path), err, lerr, f.Close(), l.Close())
		}
	}
	return file{f, l, !nameless(f)}, nil
}

// create makes the file if there is none: whole, aside, and then under its name, so that
// a crash leaves all of it or nothing, and two processes that do it together one.
func create(path string) error {
	if path == "" {
		return errors.New("journal: Open needs the name of a file, in a directory that is there")
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("journal: %s is no file: give the name of a file, in a directory that is there", path)
	case err == nil && info.Size() == 0:
		return fmt.Errorf("journal: %s is empty, no journal: remove it first", path)
	case err == nil:
		return syncDir(path, dir)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("journal: opening %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("journal: making %s: there is no directory %s: make it first: %w", path, dir, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	err = writeNew(tmp)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // what is said of the file under its other name helps nobody
		}
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	return syncDir(path, dir)
}

// writeNew writes the two heads of a journal that holds nothing.
func writeNew(f *os.File) error {
	page := head{generation: 1, start: firstPage, salt: random(), writer: random()}.encode()
	if _, err := f.Write(append(page, page...)); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes the file's name last, too.
func syncDir(path, dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" { // which has no such thing
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	return nil
}
