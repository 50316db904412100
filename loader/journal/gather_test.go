package journal

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// slowDisk is a disk that takes as long for one record as for many.
type slowDisk struct{ takes time.Duration }

func (d slowDisk) commit(change) error { time.Sleep(d.takes); return nil }

func (slowDisk) load(func(loader.Record) error) error { return nil }

func (slowDisk) synced() uint64 { return 0 }

func (slowDisk) close() error { return nil }

const aCommit = 10 * time.Millisecond

// onSlowDisk runs a test with a journal whose commits take 10 ms of a bubble's time.
func onSlowDisk(t *testing.T, run func(t *testing.T, j *Journal)) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal("", slowDisk{aCommit})
		run(t, j)
		require.NoError(t, j.Close())
	})
}

// append makes n records lasting, one after the other, with a pause before each.
func appends(t *testing.T, j *Journal, key string, n int, pause time.Duration) {
	for range n {
		time.Sleep(pause)
		if err := j.Append(one(key)); err != nil {
			t.Error(err)
		}
	}
}

// Writers that have something else to do between two records share nearly every commit.
// Without waiting each has half of them.
func TestWritersComeTogether(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Millisecond, 4 * time.Millisecond} {
		onSlowDisk(t, func(t *testing.T, j *Journal) {
			const writers, rounds = 64, 40
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() { appends(t, j, string(rune('a'+w)), rounds, pause) })
			}
			begun := time.Now()
			wg.Wait()
			s := j.Stats()
			require.EqualValues(t, writers*rounds, s.Records)
			require.LessOrEqual(t, s.Commits, uint64(rounds+8), "pause %v", pause)
			require.LessOrEqual(t, time.Since(begun), (rounds+8)*(aCommit+pause+aCommit/10), "pause %v", pause)
		})
	}
}

// Nobody else writes: nothing is waited for.
func TestALoneWriterDoesNotWait(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Millisecond, time.Second / 2} {
		onSlowDisk(t, func(t *testing.T, j *Journal) {
			begun := time.Now()
			appends(t, j, "a", 100, pause)
			require.Equal(t, 100*(aCommit+pause), time.Since(begun))
		})
	}
}

// Those who wrote have left: who goes on learns that nobody comes, and waits ever more seldom.
func TestACrowdThatHasLeft(t *testing.T) {
	onSlowDisk(t, func(t *testing.T, j *Journal) {
		var wg sync.WaitGroup
		for w := range 64 {
			wg.Go(func() { appends(t, j, string(rune('a'+w)), 20, time.Millisecond) })
		}
		wg.Wait()
		begun := time.Now()
		appends(t, j, "a", 100, 0)
		require.LessOrEqual(t, time.Since(begun), 100*aCommit+aCommit/patience)
	})
}

// One writes all the time, another now and then: waiting for it costs the first little.
func TestAnOccasionalWriter(t *testing.T) {
	onSlowDisk(t, func(t *testing.T, j *Journal) {
		var wg sync.WaitGroup
		wg.Go(func() { appends(t, j, "b", 50, 95*time.Millisecond) })
		begun := time.Now()
		appends(t, j, "a", 500, 0)
		require.LessOrEqual(t, time.Since(begun), 525*aCommit)
		wg.Wait()
	})
}

// A failure reaches all who wait for the commit, and those who come later.
func TestGatheringOnAFailedDisk(t *testing.T) {
	j, f, _ := openFaulty(t)
	full := errors.New("no space left on device")
	f.before = full
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if j.Append(one("a")) == nil {
				t.Error("accepted")
			}
		})
	}
	wg.Wait()
	require.ErrorIs(t, j.Close(), full)
}
