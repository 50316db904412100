package zstd_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	kzstd "github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/loader/internal/packed/packedtest"
	"github.com/memherd/memherd/loader/zstd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func codec(t testing.TB, cfg zstd.Config[[]byte]) loader.Codec[[]byte] {
	t.Helper()
	c, err := zstd.New(cfg)
	require.NoError(t, err)
	return c
}

var kit = packedtest.Kit{
	Magic:    []byte{0x28, 0xB5, 0x2F, 0xFD},
	TooLarge: zstd.ErrTooLarge,
	New: func(t testing.TB, inner loader.Codec[[]byte], above, maxBytes int) loader.Codec[[]byte] {
		return codec(t, zstd.Config[[]byte]{Inner: inner, Above: above, MaxBytes: maxBytes})
	},
	Packs:  100,
	Bombs:  bombs,
	Honest: func(bomb string) bool { return bomb == "sized" },
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
	for level := range 5 {
		for _, above := range []int{-1, 0, 64} {
			codecs[fmt.Sprint(level, above)] = codec(t, zstd.Config[[]byte]{Inner: loader.Bytes{}, Level: level, Above: above, MaxBytes: 1 << 20})
		}
	}
	kit.RoundTrip(t, codecs)
}

func TestRefuses(t *testing.T) {
	for want, cfg := range map[string]zstd.Config[string]{
		"zstd.Config.Inner is nil":    {},
		"zstd.Config.MaxBytes is -1":  {Inner: loader.String{}, MaxBytes: -1},
		"zstd.Config.MaxBytes is 100": {Inner: loader.String{}, MaxBytes: 100},
		"zstd.Config.Level is 5":      {Inner: loader.String{}, Level: 5},
		"zstd.Config.Level is -1":     {Inner: loader.String{}, Level: -1},
	} {
		_, err := zstd.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// bombs are small, and large when they are open: with their size in the header, without, and as many
// frames one after the other.
func bombs(t testing.TB, size int) map[string][]byte {
	zeros := make([]byte, 1<<20)
	all := map[string][]byte{}
	var stream bytes.Buffer
	w, err := kzstd.NewWriter(&stream)
	require.NoError(t, err)
	for range size >> 20 {
		_, err = w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	all["no size"] = stream.Bytes()
	enc, err := kzstd.NewWriter(nil, kzstd.WithSingleSegment(true))
	require.NoError(t, err)
	all["sized"] = enc.EncodeAll(make([]byte, size), nil)
	one := enc.EncodeAll(zeros, nil)
	all["frames"] = bytes.Repeat(one, size>>20)
	return all
}

// Rows of more than a kilobyte are stored compressed.
func ExampleNew() {
	c, err := zstd.New(zstd.Config[[]string]{Inner: loader.JSON[[]string]{}})
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
