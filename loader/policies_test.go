package loader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/loader/journal"
)

// A process that dies just after a write of another policy does not bring an older write-back of the key back.
func TestKilledAfterAWriteOfAnotherPolicy(t *testing.T) {
	for name, write := range map[string]func(l *loader.Loader[string]) error{
		"put": func(l *loader.Loader[string]) error {
			return l.PutWith(context.Background(), "k", "2", loader.WriteOptions{Policy: loader.WriteAround})
		},
		"delete": func(l *loader.Loader[string]) error {
			return l.DeleteWith(context.Background(), "k", loader.WriteOptions{Policy: loader.WriteAround})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := newOrigin()
			j, err := journal.Open(filepath.Join(dir, "j"))
			require.NoError(t, err)
			defer j.Close()
			l := open(t, fakecache.New(2), o, writeBack(j))
			require.NoError(t, l.Put(t.Context(), "k", "1")) // write-back
			require.NoError(t, l.Flush(t.Context()))
			require.NoError(t, write(l))
			want := o.rows["k"]

			// kill -9: what the file has now is what the next process finds.
			b, err := os.ReadFile(filepath.Join(dir, "j"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "next"), b, 0o600))
			j2, err := journal.Open(filepath.Join(dir, "next"))
			require.NoError(t, err)
			defer j2.Close()
			l2 := open(t, fakecache.New(2), o, writeBack(j2))
			require.NoError(t, l2.Flush(t.Context()))
			require.Equal(t, want, o.rows["k"], "what the origin has")
		})
	}
}

// Delete refuses what Put refuses.
func TestDeleteWithUnknownPolicy(t *testing.T) {
	l := open(t, fakecache.New(1), newOrigin("k", "1"))
	require.Error(t, l.PutWith(t.Context(), "k", "1", loader.WriteOptions{Policy: 9}))
	require.Error(t, l.DeleteWith(t.Context(), "k", loader.WriteOptions{Policy: 9}))
}

// A load that finds a write pending is a miss, and no answer from the backlog besides.
func TestEveryGetIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j, o := fakecache.New(1), newMemJournal(), newOrigin("k", "old")
		l := open(t, c, o, writeBack(j))
		sum := func() uint64 {
			n := l.Counters()
			return n.NearHits + n.NodeHits + n.NegativeHits + n.Misses + n.Back.Reads
		}
		o.onStore = func(string, string) error { return errors.New("down") }
		o.slow = time.Second
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = l.Put(context.Background(), "k", "new")
		}()
		_, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.EqualValues(t, 1, sum(), "%+v", l.Counters())
	})
}

// The load that is given up because a second one was faster is no sign that the origin is ill.
func TestTheLoserOfARaceIsNoOverload(t *testing.T) {
	for _, hedged := range []bool{false, true} {
		t.Run(fmt.Sprint(hedged), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin("k", "1")
				o.slow = 20 * time.Millisecond
				l := open(t, fakecache.New(1), o, func(c *loader.Config[string]) {
					c.MaxLoads, c.Origin.MinLoads = 100, 1
					if hedged {
						c.Origin.SecondAfter = 10 * time.Millisecond
					}
				})
				for i := range 10 {
					_, err := l.Get(t.Context(), fmt.Sprint(i))
					require.ErrorIs(t, err, loader.ErrNotFound)
					time.Sleep(100 * time.Millisecond)
				}
				require.EqualValues(t, 100, l.Counters().LoadLimit, "no load has failed or been slow: %d errors", l.Counters().LoadErrors)
			})
		})
	}
}

// What has no effect is refused, as Back without Journal, Burst without Rate and MarkerTTL without LoadMaster are.
