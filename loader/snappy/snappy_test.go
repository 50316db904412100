package snappy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/loader/snappy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func codec(t testing.TB, cfg snappy.Config[[]byte]) *snappy.Codec[[]byte] {
	t.Helper()
	cfg.Inner = loader.Bytes{}
	c, err := snappy.New(cfg)
	require.NoError(t, err)
	return c
}

func TestRefuses(t *testing.T) {
	for want, cfg := range map[string]snappy.Config[string]{
		"snappy.Config.Inner is nil":           {},
		"snappy.Config.MaxBytes is -1":         {Inner: loader.String{}, MaxBytes: -1},
		"snappy.Config.MaxBytes is 2147483648": {Inner: loader.String{}, MaxBytes: 1 << 31},
	} {
		_, err := snappy.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// Whatever is encoded comes back, appended to what stood there, never larger than it was but
// for bytes that look compressed.
func TestRoundTrip(t *testing.T) {
	codecs := map[string]*snappy.Codec[[]byte]{}
	for _, above := range []int{-1, 0, 64} {
		codecs[fmt.Sprint(above)] = codec(t, snappy.Config[[]byte]{Above: above, MaxBytes: 1 << 20})
	}
	rapid.Check(t, func(t *rapid.T) {
		v := []byte(strings.Repeat(string(rapid.SliceOf(rapid.Byte()).Draw(t, "part")), rapid.IntRange(0, 200).Draw(t, "times")))
		if rapid.Bool().Draw(t, "like a frame") {
			v = append([]byte{0xFF, 's', 'n', 'p'}, v...)
		}
		head := rapid.SliceOf(rapid.Byte()).Draw(t, "head")
		for name, c := range codecs {
			b, err := c.Encode(bytes.Clone(head), v)
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(b, head), name)
			if !bytes.HasPrefix(v, []byte{0xFF, 's', 'n', 'p'}) {
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

func TestSizes(t *testing.T) {
	c := codec(t, snappy.Config[[]byte]{MaxBytes: 100_000})
	small, large := bytes.Repeat([]byte("a"), 1023), bytes.Repeat([]byte("a"), 1024)
	b, err := c.Encode(nil, small)
	require.NoError(t, err)
	require.Equal(t, small, b, "as it is")
	b, err = c.Encode(nil, large)
	require.NoError(t, err)
	require.Less(t, len(b), 200)
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
	require.ErrorIs(t, err, snappy.ErrTooLarge)
	require.Equal(t, "head", string(b))
}

// Values stored before compression was switched on are read.
func TestValuesOfBefore(t *testing.T) {
	old, err := loader.JSON[[]string]{}.Encode(nil, []string{"a", "b"})
	require.NoError(t, err)
	c, err := snappy.New(snappy.Config[[]string]{Inner: loader.JSON[[]string]{}})
	require.NoError(t, err)
	v, err := c.Decode(old)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, v)
}

// bombs are small, and large when they are open, or say so; the last says less than it has.
func bombs(t testing.TB, size int) map[string][]byte {
	head := []byte{0xFF, 's', 'n', 'p'}
	with := func(b []byte) []byte { return append(bytes.Clone(head), b...) }
	whole := s2.Encode(nil, make([]byte, size)) // s2 repeats without end, and Decode reads it
	require.Less(t, len(whole), size/100)
	n := len(binary.AppendUvarint(nil, uint64(size)))
	return map[string][]byte{
		"snappy": with(s2.EncodeSnappy(nil, make([]byte, size))),
		"s2":     with(whole),
		"empty":  with(binary.AppendUvarint(nil, uint64(size))),
		"lies":   with(append(binary.AppendUvarint(nil, 1000), whole[n:]...)),
	}
}

// A bomb is refused before it takes more memory than allowed, and to a loader it is a miss.
func TestBombs(t *testing.T) {
	const most = 4 << 20
	for name, b := range bombs(t, 256<<20) {
		c := codec(t, snappy.Config[[]byte]{MaxBytes: most})
		_, err := c.Decode(b) // what the library makes once
		require.Error(t, err, name)
		if name != "lies" {
			require.ErrorIs(t, err, snappy.ErrTooLarge)
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

func TestABombIsAMiss(t *testing.T) {
	cache := fakecache.New(1)
	small, large := codec(t, snappy.Config[[]byte]{MaxBytes: 1 << 10, Above: -1}), codec(t, snappy.Config[[]byte]{Above: -1})
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

func TestInnerFaults(t *testing.T) {
	c, err := snappy.New(snappy.Config[[]byte]{Inner: brokenCodec{}})
	require.NoError(t, err)
	_, err = c.Encode(nil, []byte("v"))
	require.ErrorIs(t, err, errBroken)
	b, err := c.Encode([]byte("head"), nil)
	require.NoError(t, err)
	require.Empty(t, b, "the loader refuses it")
}

func TestConcurrentUse(t *testing.T) {
	c := codec(t, snappy.Config[[]byte]{})
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

func FuzzDecode(f *testing.F) {
	c := codec(f, snappy.Config[[]byte]{MaxBytes: 64 << 10, Above: -1})
	for _, v := range []string{"", "v", strings.Repeat("abc", 1000)} {
		b, err := c.Encode(nil, []byte(v))
		require.NoError(f, err)
		f.Add(b)
	}
	for _, b := range bombs(f, 1<<20) {
		f.Add(b)
	}
	f.Add([]byte{0xFF, 's', 'n', 'p'})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		v, err := c.Decode(b)
		require.True(t, bytes.Equal(before, b), "the input was changed")
		if err != nil {
			return
		}
		if bytes.HasPrefix(b, []byte{0xFF, 's', 'n', 'p'}) {
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

// Rows of more than a kilobyte are stored compressed.
func ExampleNew() {
	c, err := snappy.New(snappy.Config[[]string]{Inner: loader.JSON[[]string]{}})
	if err != nil {
		panic(err)
	}
	pages, err := loader.New(fakecache.New(2), loader.Config[[]string]{ // in a program: client.New(…)
		Codec: c,
		Load:  func(context.Context, string) ([]string, error) { return []string{"a", "b"}, nil },
	})
	if err != nil {
		panic(err)
	}
	defer pages.Close()
	fmt.Println(pages.Get(context.Background(), "front"))
	// Output: [a b] <nil>
}
