package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/memherd/memherd/client"
)

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = time.Second

// Keys of a node's bucket begin with one of these, since bbolt takes no empty keys; and none that is longer than bbolt.MaxKeySize, so that
// such a one stands in the value, behind the time, under its digest.
const (
	markKey      = 'k'
	markOverflow = 'o'
	markLong     = 'l'
)

// timeLen is the length of a time.
const timeLen = 8

// Journal is a client.DebtJournal. Make it with Open. Its methods may be called concurrently.
type Journal struct{ db *bbolt.DB }

// Open opens the file, or makes it, readable by its owner alone: keys are user data. It is an
// error if another process has it open; after a crash it opens as it was when it was last written.
func Open(path string) (*Journal, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("journal: %s is in use by another process: each needs a file of its own", path)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{db}, nil
}

// Close closes the file. Close the client first.
func (j *Journal) Close() error { return j.db.Close() }

// Load returns what is owed.
func (j *Journal) Load() (owed []client.DebtRecord, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(node []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				r := client.DebtRecord{Node: string(node)}
				if at, ok := timeOf(v[:min(len(v), timeLen)]); ok {
					r.At = at
				}
				switch {
				case len(k) > 1 && k[0] == markKey:
					r.Key = string(k[1:])
				case len(k) == 1+sha256.Size && k[0] == markLong && len(v) > timeLen:
					r.Key = string(v[timeLen:])
				case len(k) == 1 && k[0] == markOverflow:
				default:
					return fmt.Errorf("journal: the file holds something that no journal wrote")
				}
				owed = append(owed, r)
				return nil
			})
		})
	})
	return owed, err
}

// Write makes changes lasting: when it returns they are on the disk.
func (j *Journal) Write(changes []client.DebtRecord) error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		for _, r := range changes {
			b, err := tx.CreateBucketIfNotExists([]byte(r.Node))
			if err != nil {
				return err
			}
			key, value := entry(r)
			if r.Paid {
				err = b.Delete(key)
			} else {
				err = b.Put(key, value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// entry is what stands for r in its node's bucket.
func entry(r client.DebtRecord) (key, value []byte) {
	at := int64(0) // the time is unknown
	if !r.At.IsZero() {
		at = r.At.UnixMilli()
	}
	if len(r.Key) >= bbolt.MaxKeySize {
		sum := sha256.Sum256([]byte(r.Key))
		return append([]byte{markLong}, sum[:]...), append(binary.BigEndian.AppendUint64(nil, uint64(at)), r.Key...)
	}
	if at != 0 {
		value = binary.BigEndian.AppendUint64(nil, uint64(at))
	}
	if r.Key == "" {
		return []byte{markOverflow}, value
	}
	return append([]byte{markKey}, r.Key...), value
}

// timeOf reads a time, false if there is none: it was not known, or it was written before times were.
func timeOf(b []byte) (time.Time, bool) {
	if len(b) < timeLen {
		return time.Time{}, false
	}
	at := int64(binary.BigEndian.Uint64(b))
	return time.UnixMilli(at), at != 0
}
