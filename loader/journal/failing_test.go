package journal

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// failingStore is a memStore whose writes, truncations and syncs fail now and then. As with a kernel's, what a failed Sync has not brought to
// the disk is read all the same, and no later Sync brings it there.
type failingStore struct {
	memStore
	*rand.Rand
	dirty               map[int64]bool // pages
	armed               bool
	failSync, failWrite int // one in so many
	faults              int
}

var errEIO, errFull = errors.New("input/output error"), errors.New("no space left on device")

func (m *failingStore) WriteAt(b []byte, at int64) (n int, err error) {
	if m.armed && m.IntN(m.failWrite) == 0 {
		b, err = b[:m.IntN(len(b))], errFull
		m.faults++
	}
	if len(b) > 0 {
		n, _ = m.memStore.WriteAt(b, at)
		for p := at / pageSize; p*pageSize < at+int64(n); p++ {
			m.dirty[p] = true
		}
	}
	return n, err
}

func (m *failingStore) Truncate(size int64) error {
	if m.armed && m.IntN(3) == 0 {
		m.faults++
		return errEIO
	}
	return m.memStore.Truncate(size)
}

func (m *failingStore) Sync() error {
	fail := m.armed && m.IntN(m.failSync) == 0
	m.toDisk(func() bool { return !fail || m.IntN(2) == 0 })
	if n := len(m.data); len(m.synced) > n {
		m.synced = m.synced[:n]
	} else if !fail || m.IntN(2) == 0 {
		m.synced = append(m.synced, make([]byte, n-len(m.synced))...)
	}
	if fail {
		m.faults++
		return errEIO
	}
	return nil
}

// toDisk brings dirty pages to the disk, those that lasts says yes of and a part of some others.
func (m *failingStore) toDisk(lasts func() bool) {
	for _, p := range slices.Sorted(maps.Keys(m.dirty)) {
		from, to := int(p*pageSize), min(int((p+1)*pageSize), len(m.data))
		if from >= to {
			continue
		}
		if !lasts() {
			if m.IntN(4) > 0 {
				continue
			}
			to = from + m.IntN([]int{16, headSize, to - from}[m.IntN(3)])
			to = min(to, len(m.data))
		}
		if to > len(m.synced) {
			m.synced = append(m.synced, make([]byte, to-len(m.synced))...)
		}
		copy(m.synced[from:to], m.data[from:to])
	}
	m.dirty = map[int64]bool{}
}

// power fails.
func (m *failingStore) power() {
	m.toDisk(func() bool { return m.IntN(3) == 0 })
	m.data = slices.Clone(m.synced)
}

// openAgain opens the log until that succeeds: the disk gets well after a while.
func (m *failingStore) openAgain(t *testing.T) *log {
	for i := 0; ; i++ {
		m.armed = i < 8
		l, err := openLog(m, int64(len(m.data)), small)
		if err == nil {
			m.armed = true
			return l
		}
		require.True(t, errors.Is(err, errEIO) || errors.Is(err, errFull), "open: %v", err)
		if m.IntN(4) == 0 {
			m.power()
		}
	}
}

// On a disk that fails, in commits, in changes of generation, at Close, and while the log is opened, with failures of power in
// between, what was accepted is there, what was struck out is not, and what failed is there wholly or not at all.
func TestAnyFault(t *testing.T) {
	faults := 0
	for seed := range Scaled(2000) {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		s := newStore()
		m := &failingStore{memStore: *s, Rand: r, dirty: map[int64]bool{}, failSync: 2 + r.IntN(12), failWrite: 4 + r.IntN(40)}
		c := &crasher{Rand: r, require: require.New(t), accepted: map[uint64]string{}, underway: map[uint64]string{}}
		for range 6 {
			l := m.openAgain(t)
			got := c.state(l)
			if !maps.Equal(got, c.accepted) {
				require.Equal(t, c.underway, got, "seed %d", seed)
			}
			require.GreaterOrEqual(t, l.clock.Seq, c.clock.Seq, "seed %d", seed)
			c.accepted, c.underway = got, got
			for seq := l.clock.Seq; r.IntN(8) > 0; {
				ch := change{}
				c.underway = maps.Clone(c.accepted)
				for range r.IntN(4) {
					seq++
					rec := loader.Record{Key: fmt.Sprint("k", seq), Value: make([]byte, []int{0, 10, 1000, pageSize - 80, 3 * pageSize}[r.IntN(5)]), Version: loader.Version{Seq: seq}}
					ch.put = append(ch.put, rec)
					c.underway[seq] = fmt.Sprint(rec.Key, rec.Deleted, string(rec.Value))
				}
				for _, k := range slices.Sorted(maps.Keys(c.underway)) {
					if r.IntN(3) == 0 {
						ch.strike = append(ch.strike, k)
						delete(c.underway, k)
					}
				}
				ch.clock.Seq = seq
				if l.commit(ch) != nil {
					require.ErrorIs(t, l.commit(ch), errBroken)
					break
				}
				c.accepted, c.clock = c.underway, ch.clock
			}
			if r.IntN(2) == 0 {
				_ = l.close() // it may fail, too
			}
			if r.IntN(2) == 0 {
				m.power()
			}
		}
		faults += m.faults
	}
	t.Logf("%d faults", faults)
	require.Positive(t, faults)
}
