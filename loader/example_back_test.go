package loader_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// memory is a Journal that is gone with the process: package loader/journal has one in a file.
type memory struct {
	mu   sync.Mutex // guards the rest
	seq  uint64
	recs map[string]loader.Record
}

func (m *memory) Replay(func(loader.Record) error) error { return nil }

func (m *memory) Append(recs []loader.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range recs {
		m.seq++
		recs[i].Version = loader.Version{Time: time.Now(), Writer: 1, Seq: m.seq}
		kept := recs[i]
		kept.Value = append([]byte(nil), kept.Value...)
		m.recs[kept.Key] = kept
	}
	return nil
}

func (m *memory) Forget(rec loader.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recs[rec.Key].Version == rec.Version {
		delete(m.recs, rec.Key)
	}
}

// Writes go to the database behind their callers, many at a time; what it refuses for good is looked at.
func ExampleBackConfig() {
	dead := make(chan loader.DeadWrite[string], 1)
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		Load: func(context.Context, string) (string, error) { return "", loader.ErrNotFound },
		Store: func(ctx context.Context, key, v string) error {
			version, ok := loader.VersionOf(ctx) // for WHERE version < ?
			fmt.Println("write", version.Seq, ok)
			return errors.New("no such column")
		},
		Write: loader.WriteBack,
		Back: loader.BackConfig[string]{
			Journal: &memory{recs: map[string]loader.Record{}},
			StoreMany: func(_ context.Context, writes []loader.Write[string]) error {
				return errors.New("no such column")
			},
			MaxAttempts: 1,
			DeadLetter: func(w loader.DeadWrite[string]) loader.Verdict {
				dead <- w
				return loader.DropWrite
			},
		},
	})
	if err != nil {
		panic(err)
	}
	if err := l.Put(context.Background(), "user:42", "Ada"); err != nil {
		panic(err)
	}
	w := <-dead
	fmt.Println(w.Key, w.Value, w.Err)
	if err := l.Close(); err != nil {
		panic(err)
	}
	var back loader.BackCounters = l.Counters().Back
	fmt.Println(back.Dropped, "dropped,", back.Pending, "pending")
	// Output:
	// write 1 true
	// user:42 Ada no such column
	// 1 dropped, 0 pending
}
