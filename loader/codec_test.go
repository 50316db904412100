package loader_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader"
)

type user struct {
	Name  string
	Age   int
	Tags  []string
	Extra map[string]float64
}

func roundTrip[V any](t require.TestingT, c loader.Codec[V], v V) {
	b, err := c.Encode([]byte("head"), v)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(b, []byte("head")), "Encode must append")
	body := bytes.Clone(b[4:])
	got, err := c.Decode(body)
	require.NoError(t, err)
	for i := range body { // Decode may not keep what it was given
		body[i] = 0xFF
	}
	require.Equal(t, v, got)
}

func TestCodecsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := user{
			Name: rapid.String().Draw(t, "name"),
			Age:  rapid.Int().Draw(t, "age"),
			Tags: rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "tags"),
			Extra: rapid.MapOfN(rapid.String(), rapid.Float64(), 1, 3).
				Draw(t, "extra"),
		}
		roundTrip(t, loader.JSON[user]{}, u)
		roundTrip(t, loader.JSON[*user]{}, &u)
		roundTrip(t, loader.Gob[user]{}, u)
		roundTrip(t, loader.String{}, u.Name)
		roundTrip(t, loader.Bytes{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	})
}

func TestCodecErrorsKeepTheBuffer(t *testing.T) {
	b, err := loader.JSON[chan int]{}.Encode([]byte("head"), nil)
	require.Error(t, err)
	require.Equal(t, "head", string(b))
	b, err = loader.Gob[func()]{}.Encode([]byte("head"), nil)
	require.Error(t, err)
	require.Equal(t, "head", string(b))
}

// Whatever bytes a node returns, decoding ends in a value or an error.
func FuzzCodecs(f *testing.F) {
	u := user{Name: "n", Tags: []string{"a"}, Extra: map[string]float64{"x": 1}}
	j, _ := loader.JSON[user]{}.Encode(nil, u)
	g, _ := loader.Gob[user]{}.Encode(nil, u)
	f.Add(j)
	f.Add(g)
	f.Add([]byte{})
	f.Add([]byte{0xF8, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		if v, err := (loader.JSON[user]{}).Decode(b); err == nil {
			_, err = loader.JSON[user]{}.Encode(nil, v)
			require.NoError(t, err)
		}
		if v, err := (loader.Gob[user]{}).Decode(b); err == nil {
			_, err = loader.Gob[user]{}.Encode(nil, v)
			require.NoError(t, err)
		}
		raw, err := loader.Bytes{}.Decode(b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, raw))
		require.True(t, bytes.Equal(before, b), "the input was changed")
	})
}
