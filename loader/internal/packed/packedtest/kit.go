// Package packedtest holds the compressing codecs to what they promise alike, for the tests of packages zstd and snappy.
package packedtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// Kit tests a codec.
type Kit struct {
	// Magic begins what is compressed.
	Magic []byte
	// TooLarge is the error for values that are larger than allowed.
	TooLarge error
	// New makes a codec around inner, with its settings of these names; 0 is the default.
	New func(t testing.TB, inner loader.Codec[[]byte], above, maxBytes int) loader.Codec[[]byte]
	// Packs is less than what 1,024 times the same byte are compressed to.
	Packs int
	// Bombs are small, and large when they are open: as many bytes as that, about.
	Bombs func(t testing.TB, size int) map[string][]byte
	// Honest reports whether a bomb says that it is too large.
	Honest func(bomb string) bool
}

func (k Kit) plain(t testing.TB, above, maxBytes int) loader.Codec[[]byte] {
	return k.New(t, loader.Bytes{}, above, maxBytes)
}

// RoundTrip: whatever is encoded comes back, appended to what stood there, never larger than it was but
// for bytes that look compressed, by each of these codecs for values of 1 MiB at most.
func (k Kit) RoundTrip(t *testing.T, codecs map[string]loader.Codec[[]byte]) {
	rapid.Check(t, func(t *rapid.T) {
		v := []byte(strings.Repeat(string(rapid.SliceOf(rapid.Byte()).Draw(t, "part")), rapid.IntRange(0, 200).Draw(t, "times")))
		if rapid.Bool().Draw(t, "like packed") {
			v = append(bytes.Clone(k.Magic), v...)
		}
		head := rapid.SliceOf(rapid.Byte()).Draw(t, "head")
		for name, c := range codecs {
			b, err := c.Encode(bytes.Clone(head), v)
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(b, head), name)
			if !bytes.HasPrefix(v, k.Magic) {
				require.LessOrEqual(t, len(b)-len(head), len(v), name)
			}
			before := bytes.Clone(b)
			got, err := c.Decode(b[len(head):])
			require.NoError(t, err, name)
			require.True(t, bytes.Equal(v, got), name)
			require.Equal(t, before, b, "the input was changed")
		}
	})
}

// Sizes: which values are compressed, and how large they may be.
func (k Kit) Sizes(t *testing.T) {
	c := k.plain(t, 0, 100_000)
	small, large := bytes.Repeat([]byte("a"), 1023), bytes.Repeat([]byte("a"), 1024)
	b, err := c.Encode(nil, small)
	require.NoError(t, err)
	require.Equal(t, small, b, "as it is")
	b, err = c.Encode(nil, large)
	require.NoError(t, err)
	require.Less(t, len(b), k.Packs)
	noise := make([]byte, 10_000)
	_, err = rand.Read(noise)
	require.NoError(t, err)
	b, err = c.Encode(nil, noise)
	require.NoError(t, err)
	require.Equal(t, noise, b, "what does not get smaller")
	b, err = c.Encode(nil, bytes.Repeat([]byte("a"), 100_000))
	require.NoError(t, err)
	_, err = c.Decode(b)
	require.NoError(t, err)
	b, err = c.Encode([]byte("head"), bytes.Repeat([]byte("a"), 100_001))
	require.ErrorIs(t, err, k.TooLarge)
	require.Equal(t, "head", string(b))
}

// ValuesOfBefore: what was stored before compression was switched on is read.
func (k Kit) ValuesOfBefore(t *testing.T) {
	for _, above := range []int{-1, 0} {
		for _, old := range []string{"", `["a","b"]`, string(k.Magic[:len(k.Magic)-1])} {
			v, err := k.plain(t, above, 0).Decode([]byte(old))
			require.NoError(t, err)
			require.Equal(t, old, string(v))
		}
	}
}

// NoBombs: a bomb is refused before it takes more memory than allowed.
func (k Kit) NoBombs(t *testing.T) {
	const most = 4 << 20
	for name, b := range k.Bombs(t, 256<<20) {
		c := k.plain(t, 0, most)
		_, err := c.Decode(b) // what the library makes once
		require.Error(t, err, name)
		if k.Honest(name) {
			require.ErrorIs(t, err, k.TooLarge)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err = c.Decode(b)
		runtime.ReadMemStats(&after)
		require.Error(t, err, name)
		grown := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d bytes of bomb, %d allocated", name, len(b), grown)
		require.LessOrEqual(t, grown, uint64(most+1<<20), name)
	}
}

// ABombIsAMiss to a loader, and what is too large to be stored is returned all the same.
func (k Kit) ABombIsAMiss(t *testing.T) {
	cache := fakecache.New(1)
	small, large := k.plain(t, -1, 1<<10), k.plain(t, -1, 0)
	open := func(c loader.Codec[[]byte], v []byte) *loader.Loader[[]byte] {
		l, err := loader.New(cache, loader.Config[[]byte]{Codec: c, Load: func(context.Context, string) ([]byte, error) { return v, nil }})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		return l
	}
	big := bytes.Repeat([]byte("a"), 1<<20)
	v, err := open(large, big).Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, big, v)
	l := open(small, []byte("fine"))
	for range 2 {
		v, err = l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "fine", string(v))
	}
	require.EqualValues(t, 1, l.Counters().Corrupt)
	require.EqualValues(t, 1, l.Counters().Loads)
	// And what can't be encoded is returned, not cached.
	l = open(small, big)
	v, err = l.Get(t.Context(), "other")
	require.NoError(t, err)
	require.Equal(t, big, v)
	require.EqualValues(t, 1, l.Counters().NotCached)
}

type brokenCodec struct{ loader.Bytes }

var errBroken = errors.New("broken")

func (brokenCodec) Encode(dst []byte, v []byte) ([]byte, error) {
	if len(v) == 0 {
		return nil, nil // forgets dst
	}
	return dst, errBroken
}

// InnerFaults are handed on.
func (k Kit) InnerFaults(t *testing.T) {
	c := k.New(t, brokenCodec{}, 0, 0)
	_, err := c.Encode(nil, []byte("v"))
	require.ErrorIs(t, err, errBroken)
	b, err := c.Encode([]byte("head"), nil)
	require.NoError(t, err)
	require.Empty(t, b, "the loader refuses it")
}

// ConcurrentUse by many goroutines.
func (k Kit) ConcurrentUse(t *testing.T) {
	c := k.plain(t, 0, 0)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				v := bytes.Repeat([]byte{byte(i), byte(n)}, 2000)
				b, err := c.Encode(nil, v)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := c.Decode(b); err != nil || !bytes.Equal(got, v) {
					t.Errorf("%d %d: %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Fuzz decodes anything: what can be read can be stored and read again.
func (k Kit) Fuzz(f *testing.F) {
	c := k.plain(f, -1, 64<<10)
	for _, v := range []string{"", "v", strings.Repeat("abc", 1000)} {
		b, err := c.Encode(nil, []byte(v))
		require.NoError(f, err)
		f.Add(b)
	}
	for _, b := range k.Bombs(f, 1<<20) {
		f.Add(b)
	}
	f.Add(k.Magic)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		v, err := c.Decode(b)
		require.True(t, bytes.Equal(before, b), "the input was changed")
		if err != nil {
			return
		}
		if bytes.HasPrefix(b, k.Magic) {
			require.LessOrEqual(t, len(v), 64<<10)
		}
		if len(v) > 64<<10 {
			return // stored as it is by somebody else
		}
		again, err := c.Encode(nil, v)
		require.NoError(t, err)
		back, err := c.Decode(again)
		require.NoError(t, err)
		require.True(t, bytes.Equal(v, back))
	})
}
