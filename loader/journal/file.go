package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/memherd/memherd/loader"
)

// The database has two buckets. "journal" says what the file is:
//
//	format  1, big-endian, 4 bytes
//	writer  Version.Writer, 8 bytes
//	clock   the last Seq and Time, 8 bytes each
//
// and "records" has a record under each Seq, as record.go encodes it. New records are
// always the last, so that a commit touches one page of them and not one for each.
var (
	headBucket    = []byte("journal")
	recordsBucket = []byte("records")
	formatKey     = []byte("format")
	writerKey     = []byte("writer")
	clockKey      = []byte("clock")
)

const (
	format = 1
	// lockWait is how long Open waits for another process to let go of the file.
	lockWait = time.Second
)

// file is the disk that a Journal has in production.
type file struct{ db *bbolt.DB }

// Open opens the file, or makes it, readable by its owner alone: it holds user data. Its
// directory must be there. A file that another process has open, that cannot be written,
// that is no journal, or that a newer version of this package wrote is an error that names
// it, and is left as it is. After a crash everything that was accepted is there.
func Open(path string) (*Journal, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	// Read-only first, so that a file of a newer version is not touched.
	if err := inspect(path); err != nil {
		return nil, err
	}
	db, err := openBolt(path, false)
	if err != nil {
		return nil, err
	}
	d := &file{db}
	j := newJournal(path, d)
	if err := d.begin(j); err != nil {
		_ = db.Close() // nothing was written
		return nil, fmt.Errorf("journal: reading %s: %w", path, err)
	}
	return j, nil
}

func openBolt(path string, readOnly bool) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt panics at pages that make no sense
			db, err = nil, fmt.Errorf("journal: %s is damaged: %v", path, p)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: readOnly, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("journal: %s is in use by another process or loader: each needs a file of its own", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("journal: %s is no journal or damaged, it is left as it is: give another name: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("journal: opening %s: %w", path, err)
	}
	return db, nil
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
	case err == nil && info.Size() == 0: // bbolt would try to make a database of it
		return fmt.Errorf("journal: %s is empty, no journal: remove it first", path)
	case err == nil:
		return nil
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
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	db, err := openBolt(tmp.Name(), false)
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // what is said of the file under its other name helps nobody
		}
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	err = db.Update(writeHead)
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	// The name has to last, too.
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("journal: making %s: %w", path, err)
	}
	return nil
}

func writeHead(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucket(recordsBucket); err != nil {
		return err
	}
	b, err := tx.CreateBucket(headBucket)
	if err != nil {
		return err
	}
	var writer [8]byte
	_, _ = rand.Read(writer[:]) // never fails
	return errors.Join(
		b.Put(formatKey, binary.BigEndian.AppendUint32(nil, format)),
		b.Put(writerKey, writer[:]),
		b.Put(clockKey, make([]byte, 16)))
}

// inspect refuses what is no journal of this version.
func inspect(path string) error {
	db, err := openBolt(path, true)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(headBucket)
		if b == nil || len(b.Get(formatKey)) != 4 {
			return fmt.Errorf("journal: %s is a bbolt database, but no journal", path)
		}
		if v := binary.BigEndian.Uint32(b.Get(formatKey)); v != format {
			return fmt.Errorf("journal: %s was written by a newer version: its format is %d, this program knows %d: let that version bring its writes to the origin first", path, v, format)
		}
		if len(b.Get(writerKey)) != 8 || len(b.Get(clockKey)) != 16 || tx.Bucket(recordsBucket) == nil {
			return fmt.Errorf("journal: %s is damaged: its head is not whole", path)
		}
		return nil
	})
}

// begin reads what j needs to go on.
func (f *file) begin(j *Journal) error {
	return f.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(headBucket)
		j.clock.Writer = binary.BigEndian.Uint64(b.Get(writerKey))
		clock := b.Get(clockKey)
		j.clock.Seq = binary.BigEndian.Uint64(clock)
		j.clock.Time = time.Unix(0, int64(binary.BigEndian.Uint64(clock[8:])))
		return f.each(tx, j.clock.Writer, func(r loader.Record) error {
			if r.Version.Seq > j.clock.Seq {
				return fmt.Errorf("%w: record %d is behind the clock, %d", errDamaged, r.Version.Seq, j.clock.Seq)
			}
			j.live[r.Key] = r.Version.Seq
			return nil
		})
	})
}

func (f *file) each(tx *bbolt.Tx, writer uint64, fn func(loader.Record) error) error {
	return tx.Bucket(recordsBucket).ForEach(func(k, v []byte) error {
		r, err := decode(k, v)
		if err != nil {
			return err
		}
		r.Version.Writer = writer
		return fn(r)
	})
}

func (f *file) load(fn func(loader.Record) error) error {
	return f.db.View(func(tx *bbolt.Tx) error {
		return f.each(tx, binary.BigEndian.Uint64(tx.Bucket(headBucket).Get(writerKey)), fn)
	})
}

func (f *file) commit(c change) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bbolt: %v", p)
		}
	}()
	return f.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(recordsBucket)
		b.FillPercent = 0.95 // records are only ever added at the end
		var key [8]byte
		for _, r := range c.put {
			binary.BigEndian.PutUint64(key[:], r.Version.Seq)
			// bbolt keeps the key's bytes until the end of the transaction.
			if err := b.Put(append([]byte(nil), key[:]...), encode(r)); err != nil {
				return err
			}
		}
		for _, seq := range c.strike {
			binary.BigEndian.PutUint64(key[:], seq)
			if err := b.Delete(key[:]); err != nil {
				return err
			}
		}
		clock := binary.BigEndian.AppendUint64(nil, c.clock.Seq)
		clock = binary.BigEndian.AppendUint64(clock, uint64(c.clock.Time.UnixNano()))
		return tx.Bucket(headBucket).Put(clockKey, clock)
	})
}

func (f *file) close() error { return f.db.Close() }
