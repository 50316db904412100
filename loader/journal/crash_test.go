package journal

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
)

// Scaled returns n times MEMHERD_SCALE, at least 1.
func Scaled(n int) int {
	f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64)
	if err != nil || f <= 0 {
		f = 1
	}
	return max(1, int(float64(n)*f))
}

// small makes generations change every few commits.
var small = measure{quota: 4 * pageSize, ahead: 2 * pageSize, frame: 300}

// memStore is a storage that knows what a failure of power may leave of it: of what was written since the last Sync
// any pages, and of one page a part.
type memStore struct {
	data   []byte // what is read
	synced []byte // what is on the disk
	before func() // called before every change; nil: it is only read and written, and not crashed
}

func (m *memStore) ReadAt(b []byte, at int64) (int, error) {
	if at >= int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(b, m.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memStore) WriteAt(b []byte, at int64) (int, error) {
	m.changes()
	if grow := at + int64(len(b)) - int64(len(m.data)); grow > 0 {
		m.data = append(m.data, make([]byte, grow)...)
	}
	return copy(m.data[at:], b), nil
}

func (m *memStore) Truncate(size int64) error {
	m.changes()
	m.data = slices.Clone(m.data[:size])
	return nil
}

func (m *memStore) Sync() error {
	if m.before == nil {
		return nil
	}
	m.before()
	m.synced = slices.Clone(m.data)
	m.before()
	return nil
}

func (m *memStore) changes() {
	if m.before != nil {
		m.before()
	}
}

func (m *memStore) Close() error { return nil }

// after returns a storage as it may be after the power has failed.
func (m *memStore) after(r *rand.Rand) *memStore {
	b := slices.Clone(m.synced)
	if r.IntN(2) == 0 {
		b = append(b[:min(len(b), len(m.data))], make([]byte, max(0, len(m.data)-len(b)))...)
	}
	mostly := r.IntN(4) // none, any, all, any
	for at := 0; at < min(len(b), len(m.data)); at += pageSize {
		end := min(at+pageSize, len(b), len(m.data))
		if slices.Equal(b[at:end], m.data[at:end]) {
			continue
		}
		switch {
		case mostly == 2 || mostly != 0 && r.IntN(2) == 0:
			copy(b[at:end], m.data[at:end])
		case r.IntN(4) == 0:
			most := []int{16, headSize, end - at}[r.IntN(3)] // often where it tears a head, of the file or of a frame
			copy(b[at:at+r.IntN(min(most, end-at)+1)], m.data[at:])
		}
	}
	return &memStore{data: b, synced: slices.Clone(b)}
}

func newStore() *memStore {
	page := head{generation: 1, start: firstPage, salt: random(), writer: 7}.encode()
	b := append(page, page...)
	return &memStore{data: b, synced: slices.Clone(b)}
}

// crasher plays commits, and at every write and every sync what a crash then may leave. That has what was
// accepted, and of what was not all or nothing, and goes on from there.
type crasher struct {
	*rand.Rand
	require            *require.Assertions
	accepted, underway map[uint64]string
	clock              loader.Version
	depth              int
	crashes            int
}

func (c *crasher) open(m *memStore) *log {
	l, err := openLog(m, int64(len(m.data)), small)
	c.require.NoError(err)
	return l
}

func (c *crasher) state(l *log) map[uint64]string {
	got := map[uint64]string{}
	c.require.NoError(l.load(func(r loader.Record) error {
		c.require.EqualValues(7, r.Version.Writer)
		got[r.Version.Seq] = fmt.Sprint(r.Key, r.Deleted, string(r.Value))
		return nil
	}))
	return got
}

func (c *crasher) crash(m *memStore) {
	if c.IntN(4+2*c.depth) > 0 {
		return
	}
	c.crashes++
	after := m.after(c.Rand)
	c.depth++
	defer func() { c.depth-- }()
	if c.depth < 3 {
		after.before = func() { c.crash(after) }
	}
	l := c.open(after)
	after.before = nil
	got := c.state(l)
	if !maps.Equal(got, c.accepted) {
		c.require.Equal(c.underway, got)
	}
	c.require.GreaterOrEqual(l.clock.Seq, slices.Max(append(slices.Collect(maps.Keys(got)), 0)))
	c.require.LessOrEqual(l.clock.Seq, c.clock.Seq)
	next := l.clock.Seq + 1
	c.require.NoError(l.commit(change{put: []loader.Record{{Key: "k", Version: loader.Version{Seq: next}}}, clock: loader.Version{Seq: next}}))
	if c.IntN(2) == 0 {
		c.require.NoError(l.close())
	}
	got[next] = "kfalse"
	c.require.Equal(got, c.state(c.open(after)))
}

// play makes a few commits, and opens the log again now and then.
func (c *crasher) play(m *memStore) *log {
	l := c.open(m)
	for range 1 + c.IntN(10) {
		c.underway = maps.Clone(c.accepted)
		var ch change
		for range c.IntN(4) {
			c.clock.Seq++
			r := loader.Record{Key: strconv.Itoa(c.IntN(10)), Version: c.clock, Deleted: c.IntN(2) == 0}
			if !r.Deleted {
				r.Value = make([]byte, []int{0, 10, 1000, pageSize - 80, 3 * pageSize}[c.IntN(5)])
			}
			ch.put = append(ch.put, r)
			c.underway[r.Version.Seq] = fmt.Sprint(r.Key, r.Deleted, string(r.Value))
		}
		for _, seq := range slices.Sorted(maps.Keys(c.underway)) {
			if c.IntN(3) == 0 {
				ch.strike = append(ch.strike, seq)
				delete(c.underway, seq)
			}
		}
		ch.clock = c.clock
		c.require.NoError(l.commit(ch))
		c.accepted = c.underway
		c.require.Equal(c.accepted, c.state(l))
		if c.IntN(6) == 0 {
			c.require.NoError(l.close())
			l = c.open(m)
		}
	}
	return l
}

func TestCrashAtEveryWrite(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // it holds nothing and makes much, and half of the time went to collecting it
	crashes, generations := 0, uint64(0)
	for seed := range Scaled(300) {
		func() {
			defer func() {
				if t.Failed() {
					t.Log("seed", seed)
				}
			}()
			m := newStore()
			c := &crasher{Rand: rand.New(rand.NewPCG(uint64(seed), 1)), require: require.New(t), accepted: map[uint64]string{}}
			c.underway = c.accepted
			m.before = func() { c.crash(m) }
			generations += c.play(m).head.generation
			crashes += c.crashes
		}()
	}
	t.Logf("%d crashes, %d generations", crashes, generations)
	require.Positive(t, crashes)
}

// A frame that is torn in its head, over one of an older generation, is none: not the old one with a new salt either.
func TestTornOverAnOlderFrame(t *testing.T) {
	m := newStore()
	c := &crasher{require: require.New(t)}
	l := c.open(m)
	torn := 0
	for seq := range uint64(20) {
		before, generation, pos := slices.Clone(m.data), l.head.generation, l.pos
		had := c.state(l)
		clock := loader.Version{Seq: seq + 1}
		ch := change{put: []loader.Record{{Key: fmt.Sprint("k", seq), Version: clock}}, clock: clock}
		if seq > 0 {
			ch.strike = []uint64{seq}
		}
		require.NoError(t, l.commit(ch))
		if l.head.generation != generation || pos+frameHead > int64(len(before)) {
			continue
		}
		for n := range int64(frameHead) {
			image := slices.Clone(before)
			copy(image[pos:pos+n], m.data[pos:])
			require.Equal(t, had, c.state(c.open(&memStore{data: image})), "%d bytes of commit %d", n, seq)
			torn++
		}
	}
	require.Greater(t, l.head.generation, uint64(4))
	require.Greater(t, torn, 10*frameHead)
}

// A journal that is opened again and again with the same pending needs no more room than twice that.
func TestOpenedAgainAndAgain(t *testing.T) {
	m := newStore()
	c := &crasher{require: require.New(t)}
	l := c.open(m)
	for seq := range uint64(30) {
		clock := loader.Version{Seq: seq + 1}
		require.NoError(t, l.commit(change{put: []loader.Record{{Key: "k", Value: make([]byte, 100*seq), Version: clock}}, clock: clock}))
	}
	had := c.state(l)
	for range 3 {
		require.NoError(t, l.close())
		l = c.open(m)
	}
	size := len(m.data)
	for range 20 {
		require.NoError(t, l.close())
		l = c.open(m)
		require.LessOrEqual(t, len(m.data), size)
	}
	require.Equal(t, had, c.state(l))
}

// played returns a closed log of a few commits, and what it held after each.
func played(t *testing.T, closed bool) (m *memStore, states []map[uint64]string) {
	m = newStore()
	c := &crasher{require: require.New(t)}
	l := c.open(m)
	states = append(states, c.state(l))
	clock := loader.Version{Time: time.Unix(1, 0)}
	for i := range 4 {
		ch := change{}
		for range i % 3 {
			clock.Seq++
			ch.put = append(ch.put, loader.Record{Key: fmt.Sprint("key", clock.Seq), Value: []byte("value"), Version: clock})
		}
		if i == 3 {
			ch.strike = []uint64{1}
			clock.Seq++
			ch.put = append(ch.put, loader.Record{Key: "last", Deleted: true, Version: clock})
		}
		ch.clock = clock
		require.NoError(t, l.commit(ch))
		states = append(states, c.state(l))
	}
	if closed {
		require.NoError(t, l.close())
	}
	return m, states
}

// A bit that goes bad is an error that says so, or changes nothing. In the last commit of a process that was killed it may be taken
// for a commit that the crash has cut.
func TestEveryFlippedBit(t *testing.T) {
	for _, closed := range []bool{true, false} {
		m, states := played(t, closed)
		whole := m.data
		refused, cut := 0, 0
		step := 8 * len(whole) / Scaled(8*len(whole))
		if step > 1 {
			step |= 1 // so that it comes to all eight
		}
		for i := 0; i < 8*len(whole); i += step {
			if whole[i/8] == 0 && i%8 != i/8%8 {
				continue // one bit of each byte will do, where nearly all of them are nothing's
			}
			flipped := slices.Clone(whole)
			flipped[i/8] ^= 1 << (i % 8)
			l, err := openLog(&memStore{data: flipped}, int64(len(flipped)), small)
			var newer newerError
			if errors.Is(err, errDamaged) || errors.As(err, &newer) {
				refused++
				continue
			}
			require.NoError(t, err)
			got := (&crasher{require: require.New(t)}).state(l)
			if !maps.Equal(got, states[4]) {
				require.False(t, closed)
				require.Equal(t, states[3], got)
				cut++
			}
		}
		require.Greater(t, refused, 500/step)
		require.Equal(t, !closed, cut > 0)
		t.Logf("closed %v: %d of %d bits refused, %d taken for the end", closed, refused, 8*len(whole), cut)
	}
}

// A file that has been cut is refused if it misses what the heads say was lasting: all of a journal that was closed. Of one that was
// not it is what a prefix of the commits left.
func TestEndsAtEveryByte(t *testing.T) {
	for _, closed := range []bool{true, false} {
		m, states := played(t, closed)
		h, err := decodeHead(m.data)
		require.NoError(t, err)
		seen := map[string]bool{}
		for n := range len(m.data) + 1 {
			l, err := openLog(&memStore{data: slices.Clone(m.data[:n])}, int64(n), small)
			require.Equal(t, int64(n) < h.reach, err != nil, "%d bytes of %d: %v", n, h.reach, err)
			if err != nil {
				continue
			}
			got := (&crasher{require: require.New(t)}).state(l)
			require.True(t, slices.ContainsFunc(states, func(s map[uint64]string) bool { return maps.Equal(s, got) }), "%d bytes: %v", n, got)
			seen[fmt.Sprint(got)] = true
		}
		require.Equal(t, !closed, len(seen) > 1)
	}
}

// Copies of what was pending that go bad are no commit that a crash has cut: nothing was written behind them.
func TestCopiesGoBad(t *testing.T) {
	m, _ := played(t, true)
	l := (&crasher{require: require.New(t)}).open(m)
	require.NotEmpty(t, l.live)
	m.data[l.head.start+frameHead] ^= 1
	_, err := openLog(m, int64(len(m.data)), small)
	require.ErrorIs(t, err, errDamaged)
}

// Nor is a last commit that only strikes out.
func TestStrikesGoBad(t *testing.T) {
	m, _ := played(t, false)
	c := &crasher{require: require.New(t)}
	l := c.open(m)
	require.NoError(t, l.commit(change{strike: []uint64{4}, clock: l.clock}))
	at := l.pos - pageSize
	require.NoError(t, l.close())
	m.data[at+frameHead] ^= 1
	_, err := openLog(m, int64(len(m.data)), small)
	require.ErrorIs(t, err, errDamaged)
}
