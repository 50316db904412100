package value

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringN(1, 60, 250).Draw(t, "key")
		version := rapid.Uint64().Draw(t, "version")
		size := rapid.IntRange(0, 2000).Draw(t, "size")
		b := Make(key, version, size)
		require.Len(t, b, max(size, MinSize(key)))
		got, err := Check(key, b)
		require.NoError(t, err)
		require.Equal(t, version, got)

		_, err = Check(key+"x", b)
		require.ErrorIs(t, err, ErrWrong)
		i := rapid.IntRange(0, len(b)-1).Draw(t, "flip")
		b[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		_, err = Check(key, b)
		require.ErrorIs(t, err, ErrWrong)
		_, err = Check(key, b[:i])
		require.ErrorIs(t, err, ErrWrong)
	})
}

func FuzzCheck(f *testing.F) {
	f.Add("k", Make("k", 1, 100))
	f.Add("k", []byte{})
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		if v, err := Check(key, b); err == nil && len(b) < 1<<16 {
			require.GreaterOrEqual(t, len(b), MinSize(key))
			_ = v
		}
	})
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 50 * time.Millisecond
		h := NewHistory(2)
		floor := func(i int) [2]uint64 {
			f := h.Floor(i, bound)
			return [2]uint64{f.Newest, f.Bound}
		}
		assert.Equal(t, [2]uint64{1, 1}, floor(0))

		write := func(ok bool) uint64 {
			v, done := h.Begin(0)
			done(ok)
			return v
		}
		assert.EqualValues(t, 2, write(true))
		assert.Equal(t, [2]uint64{2, 1}, floor(0), "the bound allows the old version for a while")
		time.Sleep(bound)
		assert.Equal(t, [2]uint64{2, 2}, floor(0))
		assert.EqualValues(t, 3, write(false))
		assert.Equal(t, [2]uint64{2, 2}, floor(0), "a write that failed promises nothing")
		assert.EqualValues(t, 4, write(true))
		time.Sleep(bound / 2)
		assert.EqualValues(t, 5, write(true))
		assert.Equal(t, [2]uint64{5, 2}, floor(0))
		time.Sleep(bound / 2)
		assert.Equal(t, [2]uint64{5, 4}, floor(0))
		assert.Equal(t, [2]uint64{1, 1}, floor(1), "keys do not mix")

		for range 3 * keep {
			write(true)
		}
		n := 0
		for a := h.acked[0].Load(); a != nil; a = a.before {
			n++
		}
		assert.Equal(t, keep, n, "memory per key is bounded")
		time.Sleep(bound)
		f := h.Floor(0, bound)
		assert.Equal(t, f.Newest, f.Bound)
	})
}

func TestWritersOfOneKeyTakeTurns(t *testing.T) {
	h := NewHistory(1)
	var inside, clashes atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				_, done := h.Begin(0)
				if inside.Add(1) != 1 {
					clashes.Add(1)
				}
				runtime.Gosched()
				inside.Add(-1)
				done(true)
			}
		})
	}
	wg.Wait()
	assert.Zero(t, clashes.Load())
	assert.EqualValues(t, 1+8*200, h.Floor(0, 0).Newest)
}

func TestAgeOfWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHistory(1)
		for range 2 { // versions 2 and 3, 10 ms apart
			_, done := h.Begin(0)
			done(true)
			time.Sleep(10 * time.Millisecond)
		}
		f := h.Floor(0, time.Second)
		assert.Equal(t, 20*time.Millisecond, h.Age(0, 1, f))
		assert.Equal(t, 10*time.Millisecond, h.Age(0, 2, f))
		assert.Zero(t, h.Age(0, 3, f))
		_, done := h.Begin(0) // acknowledged after the read began: the read may be older
		time.Sleep(time.Millisecond)
		done(true)
		assert.Zero(t, h.Age(0, 3, f))
	})
}
