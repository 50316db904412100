package snappy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/loader/internal/packed/packedtest"
	"github.com/memherd/memherd/loader/snappy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func codec(t testing.TB, cfg snappy.Config[[]byte]) loader.Codec[[]byte] {
	t.Helper()
	c, err := snappy.New(cfg)
	require.NoError(t, err)
	return c
}

var kit = packedtest.Kit{
	Magic:    []byte{0xFF, 's', 'n', 'p'},
	TooLarge: snappy.ErrTooLarge,
	New: func(t testing.TB, inner loader.Codec[[]byte], above, maxBytes int) loader.Codec[[]byte] {
		return codec(t, snappy.Config[[]byte]{Inner: inner, Above: above, MaxBytes: maxBytes})
	},
	Packs:  200,
	Bombs:  bombs,
	Honest: func(bomb string) bool { return bomb != "lies" },
}

func TestSizes(t *testing.T)          { kit.Sizes(t) }
func TestValuesOfBefore(t *testing.T) { kit.ValuesOfBefore(t) }
func TestBombs(t *testing.T)          { kit.NoBombs(t) }
func TestABombIsAMiss(t *testing.T)   { kit.ABombIsAMiss(t) }
func TestInnerFaults(t *testing.T)    { kit.InnerFaults(t) }
func TestConcurrentUse(t *testing.T)  { kit.ConcurrentUse(t) }
func FuzzDecode(f *testing.F)         { kit.Fuzz(f) }

func TestRoundTrip(t *testing.T) {
	codecs := map[string]loader.Codec[[]byte]{}
	for _, above := range []int{-1, 0, 64} {
		codecs[fmt.Sprint(above)] = codec(t, snappy.Config[[]byte]{Inner: loader.Bytes{}, Above: above, MaxBytes: 1 << 20})
	}
	kit.RoundTrip(t, codecs)
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
