package loader_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// memJournal is a journal without a disk. A "process" that dies is a loader that is
// closed without draining, and the next one reads what it left.
type memJournal struct {
	mu    sync.Mutex
	clock loader.Version
	recs  map[string]loader.Record
	fail  error                      // of every Append
	after func(recs []loader.Record) // called without the lock before each Append returns
}

func newMemJournal() *memJournal {
	return &memJournal{recs: make(map[string]loader.Record), clock: loader.Version{Writer: 7}}
}

func (j *memJournal) Replay(fn func(loader.Record) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var recs []loader.Record
	for _, r := range j.recs {
		recs = append(recs, r)
	}
	slices.SortFunc(recs, func(a, b loader.Record) int { return a.Version.Compare(b.Version) })
	for _, r := range recs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (j *memJournal) Append(recs []loader.Record) error {
	if err := j.add(recs); err != nil {
		return err
	}
	if j.after != nil {
		j.after(recs)
	}
	return nil
}

func (j *memJournal) add(recs []loader.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		return j.fail
	}
	for i := range recs {
		j.clock.Seq++
		if now := time.Now(); now.After(j.clock.Time) {
			j.clock.Time = now
		} else {
			j.clock.Time = j.clock.Time.Add(1)
		}
		recs[i].Version = j.clock
		j.recs[recs[i].Key] = recs[i]
	}
	return nil
}

func (j *memJournal) Forget(rec loader.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.recs[rec.Key].Version == rec.Version {
		delete(j.recs, rec.Key)
	}
}

func (j *memJournal) left() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.recs)
}

// writeBack makes a loader write back through j.
func writeBack(j loader.Journal, mod ...func(*loader.BackConfig[string])) func(*loader.Config[string]) {
	return func(c *loader.Config[string]) {
		c.Write = loader.WriteBack
		c.Back = loader.BackConfig[string]{Journal: j}
		for _, m := range mod {
			m(&c.Back)
		}
	}
}

// die ends l as a process that is killed: what is not at the origin stays in the journal.
func die(t testing.TB, l *loader.Loader[string]) {
	t.Helper()
	if err := l.Close(); err != nil {
		require.ErrorIs(t, err, loader.ErrPending)
	}
}

func noDrain(c *loader.BackConfig[string]) { c.DrainTimeout = -1 }

var errDisk = errors.New("no space left on device")
